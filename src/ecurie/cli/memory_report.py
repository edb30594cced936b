"""`ecurie doctor --memory`: what models and adapters take of memory, as tables."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecurie.errors import EcurieError, RequestError

if TYPE_CHECKING:
    from ecurie.catalog.catalog import Catalog, FoundModel
    from ecurie.catalog.ip_adapters import FoundIpAdapter
    from ecurie.engine.memory_table import AdapterSize, Load, Named, Table
    from ecurie.settings import Settings

NO_DEVICE = "not measured: this machine's PyTorch sees no CUDA device"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the verb was given; empty lists mean all of the catalogue, and the model's own size."""

    models: Sequence[str]
    adapters: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    measure: bool


@dataclass(slots=True)
class ModelReport:
    """`measured` are bytes by size, load and step; `note` says why something is missing."""

    model: str
    tables: list[Table] = field(default_factory=list)
    adapters: list[AdapterSize] = field(default_factory=list)
    measured: dict[str, dict[str, dict[str, int | None]]] = field(default_factory=dict)
    note: str = ""


def memory_reports(settings: Settings, asked: Asked) -> list[ModelReport]:
    """Raises what is wrong with a model or adapter that is asked for by name."""
    from ecurie.bootstrap import make_catalog

    catalog = make_catalog(settings)
    found = []
    for model_id in asked.models or catalog.models():
        try:
            model = catalog.find(model_id)
        except EcurieError as error:
            if asked.models:
                raise
            found.append(ModelReport(model_id, note=error.whole))
            continue
        found.append(_of_model(settings, catalog, model, asked))
    return found


def _of_model(settings: Settings, catalog: Catalog, model: FoundModel, asked: Asked) -> ModelReport:
    from ecurie.engine.memory_table import size_of, tables_of

    adapters, ip_adapter = _adapters(catalog, model, asked.adapters), _ip_adapter(catalog, model)
    report = ModelReport(model.id)
    report.adapters = [size_of(name, adapter, model.checkpoint.inventory) for name, adapter in adapters]
    for size in asked.sizes or [model.size]:
        report.tables += tables_of(model, adapters, ip_adapter, size)
        if asked.measure:
            _measure(settings, catalog, model, adapters, ip_adapter, size, report)
    return report


def _adapters(catalog: Catalog, model: FoundModel, names: Sequence[str]) -> Named:
    """Those that are named, or all of the catalogue that are here and fit the model, largest first."""
    from ecurie.engine.memory_table import file_bytes
    from ecurie.formats.adapter_file import read_adapter

    found = []
    for name in names or catalog.adapters():
        try:
            adapter = catalog.find_adapter(name)
            found.append((adapter.id, read_adapter(adapter.file, model.checkpoint.inventory)))
        except RequestError:
            if names:
                raise
    return found if names else sorted(found, key=lambda one: file_bytes(one[1]), reverse=True)


def _ip_adapter(catalog: Catalog, model: FoundModel) -> FoundIpAdapter | None:
    from ecurie.catalog.ip_adapters import default_ip_adapter, find_ip_adapter

    inventory = model.checkpoint.inventory
    try:
        return find_ip_adapter(catalog, default_ip_adapter(catalog, inventory), inventory)
    except RequestError:
        return None


def _measure(
    settings: Settings,
    catalog: Catalog,
    model: FoundModel,
    adapters: Named,
    ip_adapter: FoundIpAdapter | None,
    size: tuple[int, int],
    report: ModelReport,
) -> None:
    """Two steps are drawn for each load and step of the ladder."""
    from ecurie.engine.devices import choose_compute
    from ecurie.engine.memory_measured import device_peaks
    from ecurie.engine.memory_table import loads_of
    from ecurie.images.incoming import read_here

    compute = choose_compute(settings.device)
    if compute.device.type != "cuda":
        report.note = NO_DEVICE
        return
    loads = loads_of(adapters, ip_adapter, model.checkpoint.inventory, compute.dtype)
    with tempfile.TemporaryDirectory() as folder:
        report.measured[f"{size[0]}×{size[1]}"] = {
            load.name: device_peaks(
                compute, _request(settings, catalog, model, load, size, Path(folder)), load, read_here
            )
            for load in loads
        }


def _request(
    settings: Settings,
    catalog: Catalog,
    model: FoundModel,
    load: Load,
    size: tuple[int, int],
    folder: Path,
) -> Any:
    from PIL import Image

    from ecurie.bootstrap import picture_files
    from ecurie.cli.generate import checked_body
    from ecurie.requests.resolve import resolve_for_cli

    fields: dict[str, Any] = {"loras": [{"name": name} for name in load.adapters]}
    if load.ip_adapter is not None:
        reference = folder / "grey.png"
        Image.new("RGB", (224, 224), "grey").save(reference)
        fields |= {"ip_adapter": load.ip_adapter, "reference_images": [str(reference)], "ip_strength": 0.6}
    width, height = size
    body = checked_body(prompt="memory", model=model.id, steps=2, width=width, height=height, **fields)
    return resolve_for_cli(body, catalog, width * height, picture_files(settings))


def show_reports(reports: Sequence[ModelReport], *, as_json: bool) -> None:
    """Gigabytes of 10⁹ bytes, or bytes in JSON."""
    if as_json:
        print(json.dumps([asdict(report) for report in reports], indent=2, ensure_ascii=False))
        return
    for report in reports:
        for table in report.tables:
            _show(
                table.title,
                ("step", *table.loads),
                [(step, *map(_gigabytes, row)) for step, row in table.rows.items()],
            )
        for size, loads in report.measured.items():
            steps = next(iter(loads.values()))
            rows = [(step, *(_gigabytes(peaks[step]) for peaks in loads.values())) for step in steps]
            _show(f"{report.model}, {size} pixels: measured on the accelerator", ("step", *loads), rows)
        if report.adapters:
            _show(
                f"adapters on {report.model}",
                ("id", "in memory", "modules", "weights rewritten, float16"),
                [
                    (one.name, _gigabytes(one.bytes), f"{one.modules:,}", _gigabytes(one.rewritten))
                    for one in report.adapters
                ],
            )
        if report.note:
            print(f"{report.model}: {report.note}")


def _gigabytes(size: int | None) -> str:
    if size is None:
        return "-"
    return f"{size / 1e9:.2f} GB" if size >= 10**8 else f"{size / 1e6:.1f} MB"


def _show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table as Shown
    from rich.text import Text

    shown = Shown(title=Text(title), title_justify="left")
    for number, column in enumerate(columns):
        shown.add_column(column, justify="right" if number else "left")
    for row in rows:
        shown.add_row(*map(Text, row))
    Console().print(shown)
