"""`ecurie doctor`: what is installed, where things are, what is missing."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Annotated

import typer

from ecurie.cli import flags
from ecurie.cli.generate import whole_size
from ecurie.cli.models import status_of
from ecurie.errors import EcurieError, InvalidRequest

if TYPE_CHECKING:
    from ecurie.settings import Settings

PACKAGES = ("torch", "diffusers", "transformers", "compel", "safetensors", "fastapi", "sqlalchemy")


def doctor(
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    as_json: flags.AsJson = False,
    device: flags.Device = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="What models and adapters take of memory.")
    ] = False,
    model: Annotated[
        list[str] | None, typer.Option(help="With --memory, this model; repeatable [those that are here].")
    ] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(help="With --memory, this adapter; repeatable [those that fit].")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="With --memory, WIDTHxHEIGHT; repeatable [the model's].")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="With --memory, draw two steps of each on the GPU too.")
    ] = False,
) -> None:
    """Show versions, devices, folders, settings and which models would have to be downloaded; with --memory,
    what models take with adapters on them, predicted from the headers of their files."""
    from rich.console import Console
    from rich.table import Table

    from ecurie.cli.memory_report import Asked, memory_reports, show_reports
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog, demo=demo, device=device)
    if memory:
        sizes = [whole_size(text) for text in size or []]
        asked = Asked(model or [], adapter or [], sizes, measure)
        show_reports(memory_reports(settings, asked), as_json=as_json)
        return
    if model or adapter or size or measure:
        raise InvalidRequest("--model, --adapter, --size and --measure have a meaning only with --memory")
    report = _examine(settings)
    if as_json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
        return
    for section, rows in report.items():
        table = Table(title=section, show_header=False, title_justify="left")
        for name, value in rows.items():
            table.add_row(name, value)
        Console().print(table)


def _or_error(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except EcurieError as error:
        return f"none: {error}"


def _examine(settings: Settings) -> dict[str, dict[str, str]]:
    import ecurie
    from ecurie.bootstrap import make_catalog
    from ecurie.engine.devices import available_devices, choose_compute

    def used_device() -> str:
        compute = choose_compute(settings.device)
        return f"{compute.device.type} in {compute.dtype_name}"

    try:
        catalog = make_catalog(settings)
        models = {
            model_id: status_of(catalog, model_id, entry) for model_id, entry in catalog.models().items()
        }
    except EcurieError as error:
        models = {"the catalogue cannot be read": str(error)}
    nearest = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    return {
        "versions": {
            "ecurie": ecurie.__version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "devices": available_devices() | {"used": _or_error(used_device), "cores": str(os.cpu_count())},
        "folders": {
            "data": str(settings.data_dir),
            "outputs": settings.outputs_place,
            "models": str(settings.models_dir),
            "catalogue": str(settings.catalog_file) if not settings.demo else "the bundled demo catalogue",
            "free disk": f"{shutil.disk_usage(nearest).free / 1e9:.1f} GB",
        },
        "models": models,
        "settings": {name: str(getattr(settings, name)) for name in type(settings).model_fields},
    }
