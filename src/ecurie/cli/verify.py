"""`ecurie verify`: proof that a stack goes on and comes off without leaving a bit behind."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from ecurie.cli import flags
from ecurie.cli.generate import checked_body, parse_lora


def verify(
    model: Annotated[str | None, typer.Argument(help="Catalogue id or diffusers folder.")] = None,
    lora: Annotated[
        list[str] | None, typer.Option(help="Adapter ID_OR_PATH[:WEIGHT]; may be repeated.")
    ] = None,
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    device: flags.Device = None,
) -> None:
    """Load a model, apply a stack, take it away, and compare every weight with the file, bit for bit."""
    from ecurie.bootstrap import make_catalog, make_engine
    from ecurie.requests.resolve import resolve_for_cli
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog, demo=demo, device=device)
    body = checked_body(prompt="verify", model=model, loras=[parse_lora(text) for text in lora or []])
    request = resolve_for_cli(body, make_catalog(settings), settings.max_pixels)
    began = time.perf_counter()
    report = make_engine(settings).verify(request)
    for adapter in report.adapters:
        kinds = ", ".join(f"{count} {name}" for name, count in adapter.algorithms.items())
        print(f"{adapter.name}: {kinds}")
    print(
        f"{request.model}: {report.weights_written} weights patched and restored; "
        f"every weight equals the file's ({time.perf_counter() - began:.1f} s)"
    )
