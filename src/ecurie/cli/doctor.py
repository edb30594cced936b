"""`ecurie doctor`: what is installed, where things are, what is missing."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING

from ecurie.cli import flags
from ecurie.cli.models import status_of
from ecurie.errors import EcurieError

if TYPE_CHECKING:
    from ecurie.settings import Settings

PACKAGES = ("torch", "diffusers", "transformers", "compel", "safetensors", "fastapi", "sqlalchemy")


def doctor(
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    as_json: flags.AsJson = False,
) -> None:
    """Show versions, devices, folders, settings and which models would have to be downloaded."""
    from rich.console import Console
    from rich.table import Table

    from ecurie.settings import load_settings

    report = _examine(load_settings(data_dir=data_dir, catalog=catalog, demo=demo))
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
