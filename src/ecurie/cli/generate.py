"""`ecurie generate`: one request, run in this process, without a server."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecurie.cli import flags
from ecurie.errors import InvalidRequest

if TYPE_CHECKING:
    from ecurie.domain import GenerationRequest, JobResult
    from ecurie.settings import Settings


def generate(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    negative_prompt: Annotated[str | None, typer.Option(help="What to avoid [the model's].")] = None,
    model: Annotated[str | None, typer.Option(help="Catalogue id or diffusers folder.")] = None,
    lora: Annotated[
        list[str] | None, typer.Option(help="Adapter ID_OR_PATH[:WEIGHT]; may be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 30,
    guidance_scale: Annotated[float, typer.Option(help="How closely to follow the prompt.")] = 7.5,
    seed: Annotated[int | None, typer.Option(help="Same seed, same picture [drawn].")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels [the model's].")] = None,
    num_images: Annotated[int, typer.Option(help="Image k uses seed + k.")] = 1,
    scheduler: Annotated[str, typer.Option(help="See `ecurie models --schedulers`.")] = "default",
    clip_skip: Annotated[int | None, typer.Option(help="As the web UIs count [the model's].")] = None,
    output: Annotated[Path | None, typer.Option(help="PNG file to write [named by model and time].")] = None,
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    device: flags.Device = None,
    as_json: flags.AsJson = False,
) -> None:
    """Generate images here and now."""
    from ecurie.bootstrap import make_catalog
    from ecurie.requests import resolve_for_cli
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog, demo=demo, device=device)
    width, height = _parse_size(size)
    body = _checked_body(
        prompt=prompt,
        negative_prompt=negative_prompt,
        model=model,
        loras=[_parse_lora(text) for text in lora or []],
        steps=steps,
        guidance_scale=guidance_scale,
        seed=seed,
        width=width,
        height=height,
        num_images=num_images,
        scheduler=scheduler,
        clip_skip=clip_skip,
    )
    request = resolve_for_cli(body, make_catalog(settings), settings.max_pixels)
    if output is not None and output.suffix.casefold() != ".png":
        raise InvalidRequest(f"--output {output}: only .png can be written yet")
    result, paths = _run(settings, request, output)
    _show(request, result, paths, as_json)


def _checked_body(**fields: Any) -> Any:
    from pydantic import ValidationError

    from ecurie.requests import GenerateBody

    try:
        return GenerateBody(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(f"{name}: {first['msg'].removeprefix('Value error, ')}", field=name) from error


def _parse_size(size: str | None) -> tuple[int | None, int | None]:
    if size is None:
        return None, None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    if match is None:
        raise InvalidRequest(f"--size {size!r} should look like 1024x1024", field="size")
    return int(match[1]), int(match[2])


def _parse_lora(text: str) -> dict[str, Any]:
    name, colon, weight = text.rpartition(":")
    if not colon:
        return {"name": text}
    try:
        return {"name": name, "weight": float(weight)}
    except ValueError:
        raise InvalidRequest(f"--lora {text!r} should look like NAME or NAME:0.8", field="loras") from None


def _run(settings: Settings, request: GenerationRequest, output: Path | None) -> tuple[JobResult, list[Path]]:
    import uuid
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ecurie import domain
    from ecurie.images.files import OutputFolder

    folder = output.parent if output else Path()
    outputs = OutputFolder(folder, uuid.uuid4().hex, datetime.now(UTC), output.name if output else None)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=request.steps * request.num_images)
        from ecurie.bootstrap import make_engine

        engine = make_engine(settings)

        def listen(progress: domain.Progress) -> None:
            bar.update(task, description=progress.phase, completed=progress.step, total=progress.total)

        result = engine.run(request, outputs, listen)
        bar.update(task, description="done")
    return result, [folder / image.filename for image in result.images]


def _show(request: GenerationRequest, result: JobResult, paths: list[Path], as_json: bool) -> None:
    import dataclasses
    import json

    from ecurie.requests import describe

    if as_json:
        content = {
            "request": describe(request),
            "prompt": request.final_prompt,
            "images": [
                dataclasses.asdict(image) | {"path": str(path)}
                for image, path in zip(result.images, paths, strict=True)
            ],
            "report": dataclasses.asdict(result.report),
            "setup": dataclasses.asdict(result.setup),
            "timings": dataclasses.asdict(result.timings),
        }
        json.dump(content, sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    for image, path in zip(result.images, paths, strict=True):
        print(f"{path}  (seed {image.seed}, {image.width}x{image.height})")
