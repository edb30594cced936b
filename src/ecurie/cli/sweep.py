"""`ecurie sweep`: a grid of pictures over one or two varied fields, made in this process."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecurie.cli import flags
from ecurie.cli.generate import checked_body, parse_lora, parse_size, settled_here
from ecurie.errors import EcurieError, InvalidRequest

if TYPE_CHECKING:
    from ecurie.domain import GenerationRequest
    from ecurie.requests.sweep import AxisBody, Cell
    from ecurie.settings import Settings
    from ecurie.sweeps import CellPicture

AXIS_HELP = "FIELD=VALUE,VALUE,…: a request's field, lora:NAME for a weight, or prompt_replace."


def sweep(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    x: Annotated[str, typer.Option("--x", help=AXIS_HELP)],
    y: Annotated[str | None, typer.Option("--y", help="The same, for the rows.")] = None,
    negative_prompt: flags.NegativePrompt = None,
    model: flags.Model = None,
    lora: flags.Lora = None,
    preset: flags.Preset = None,
    steps: flags.Steps = None,
    guidance_scale: flags.GuidanceScale = None,
    seed: flags.Seed = None,
    size: flags.Size = None,
    scheduler: flags.Scheduler = None,
    output: Annotated[Path, typer.Option(help="The grid; its cells go into a folder beside it.")] = Path(
        "sweep.png"
    ),
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    device: flags.Device = None,
) -> None:
    """Vary one or two fields of a request and draw the labelled grid of what comes out."""
    from ecurie.bootstrap import make_catalog
    from ecurie.requests.sweep import SweepBody, cells, with_seed
    from ecurie.settings import load_settings
    from ecurie.sweeps import draw_sweep, switching_least

    if output.suffix.casefold() != ".png":
        raise InvalidRequest(f"--output {output}: a grid is written as .png")
    settings = load_settings(data_dir=data_dir, catalog=catalog, demo=demo, device=device)
    width, height = parse_size(size)
    request = checked_body(
        prompt=prompt,
        negative_prompt=negative_prompt,
        model=model,
        loras=[parse_lora(text) for text in lora or []],
        preset=preset,
        steps=steps,
        guidance_scale=guidance_scale,
        seed=seed,
        width=width,
        height=height,
        scheduler=scheduler,
    )
    axes = {"x": parse_axis(x, "--x"), "y": y and parse_axis(y, "--y")}
    body = with_seed(_checked(SweepBody, request=request, **axes))
    found = make_catalog(settings)
    resolved = [(cell, settled_here(cell.body, found, settings)) for cell in cells(body)]
    pictures = _run(settings, switching_least(resolved), output.with_suffix(""))
    grid, text = draw_sweep(body, pictures)
    grid.save(output, pnginfo=text)
    print(f"{output}  ({len(pictures)} cells, {grid.width}x{grid.height})")


def parse_axis(text: str, option: str) -> AxisBody:
    """`FIELD=VALUE,…`; numbers, true, false and null are read as such, quotes hold commas."""
    from ecurie.requests.sweep import AxisBody

    field, found, values = text.partition("=")
    if not found:
        raise InvalidRequest(f"{option} '{text}' should look like steps=10,20,30")
    (row,) = csv.reader([values], skipinitialspace=True) if values else ([],)
    parsed: AxisBody = _checked(AxisBody, field=field, values=[_value(one) for one in row])
    return parsed


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | None) else text


def _checked(kind: Any, **fields: Any) -> Any:
    from pydantic import ValidationError

    from ecurie.mistakes import first_mistake

    try:
        return kind(**fields)
    except ValidationError as error:
        raise InvalidRequest(first_mistake(error)[1]) from error


def _run(
    settings: Settings, ordered: list[tuple[Cell, GenerationRequest]], folder: Path
) -> list[CellPicture]:
    """One after the other; a cell that fails says so in the grid."""
    import uuid
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import track

    from ecurie.bootstrap import make_engine
    from ecurie.images.files import OutputFolder
    from ecurie.images.storage import LocalFolder
    from ecurie.requests.describe import describe
    from ecurie.sweeps import CellPicture

    engine, now = make_engine(settings), datetime.now(UTC)
    kept, made = LocalFolder(folder), dict[int, CellPicture]()
    for cell, request in track(ordered, "drawing", console=Console(stderr=True)):
        outputs = OutputFolder(kept, uuid.uuid4().hex, now)
        try:
            (image,) = engine.run(request, outputs, lambda _progress: None).images
        except EcurieError as error:
            made[cell.number] = CellPicture(None, str(error))
        else:
            made[cell.number] = CellPicture(kept.read(image.filename), made_by=describe(request))
    return [made[number] for number in sorted(made)]
