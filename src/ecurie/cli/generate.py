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
    from ecurie.catalog.catalog import Catalog
    from ecurie.domain import GenerationRequest, JobResult
    from ecurie.images.incoming import ReadPicture
    from ecurie.requests.body import GenerateBody
    from ecurie.settings import Settings


def generate(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    negative_prompt: flags.NegativePrompt = None,
    model: flags.Model = None,
    lora: flags.Lora = None,
    strict: Annotated[
        bool, typer.Option(help="Refuse a --lora that does not fit whole; else apply what fits.")
    ] = True,
    preset: flags.Preset = None,
    steps: flags.Steps = None,
    guidance_scale: flags.GuidanceScale = None,
    seed: flags.Seed = None,
    size: flags.Size = None,
    num_images: Annotated[int, typer.Option(help="Image k uses seed + k.")] = 1,
    scheduler: flags.Scheduler = None,
    clip_skip: flags.ClipSkip = None,
    prompt_syntax: flags.PromptSyntax = "auto",
    init_image: Annotated[str | None, typer.Option(help="A picture file to start from.")] = None,
    strength: Annotated[float | None, typer.Option(help="How far to leave it, 0 to 1 [0.75].")] = None,
    resize: Annotated[str | None, typer.Option(help="crop or stretch it to the size [crop].")] = None,
    mask: Annotated[str | None, typer.Option(help="A picture file: white is drawn anew.")] = None,
    mask_blur: Annotated[float | None, typer.Option(help="Pixels that soften the mask [4].")] = None,
    hires: Annotated[float | None, typer.Option(help="Draw on, this many times larger.")] = None,
    hires_steps: Annotated[int | None, typer.Option(help="Steps of the larger pass [--steps].")] = None,
    hires_strength: Annotated[float | None, typer.Option(help="The share of them done [0.5].")] = None,
    hires_upscaler: Annotated[str | None, typer.Option(help="lanczos or latent [lanczos].")] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(help="Picture whose look the IP-Adapter takes over; repeatable.")
    ] = None,
    ip_strength: Annotated[float | None, typer.Option(help="Of the references, 0 to 1 [0.6].")] = None,
    ip_adapter: Annotated[str | None, typer.Option(help="Catalogue id [the first that fits].")] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write: .png, .webp or .jpg [a PNG named by model and time].")
    ] = None,
    quality: Annotated[int, typer.Option(help="1 to 100, of .webp and .jpg; .webp of 100 is exact.")] = 90,
    metadata: Annotated[bool, typer.Option(help="Write into the images how they were made.")] = True,
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    device: flags.Device = None,
    as_json: flags.AsJson = False,
) -> None:
    """Generate images here and now."""
    from ecurie.bootstrap import make_catalog
    from ecurie.images.formats import format_of
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog, demo=demo, device=device)
    width, height = parse_size(size)
    body = checked_body(
        prompt=prompt,
        negative_prompt=negative_prompt,
        model=model,
        loras=[parse_lora(text, strict) for text in lora or []],
        preset=preset,
        steps=steps,
        guidance_scale=guidance_scale,
        seed=seed,
        width=width,
        height=height,
        num_images=num_images,
        scheduler=scheduler,
        clip_skip=clip_skip,
        prompt_syntax=prompt_syntax,
        init_image=init_image,
        strength=strength,
        resize=resize,
        mask=mask,
        mask_blur=mask_blur,
        hires=parse_hires(hires, hires_steps, hires_strength, hires_upscaler),
        reference_images=[str(file) for file in reference or []],
        ip_strength=ip_strength,
        ip_adapter=ip_adapter,
        format="png" if output is None else format_of(output),
        quality=quality,
        metadata=metadata,
    )
    request = settled_here(body, make_catalog(settings), settings)
    result, paths = run_here(settings, request, output)
    _show(request, result, paths, as_json)


def settled_here(body: GenerateBody, catalog: Catalog, settings: Settings) -> GenerationRequest:
    """The request of a body, once what it needs is downloaded; its pictures are files. Raises EcurieError."""
    from ecurie.bootstrap import picture_files
    from ecurie.requests.drawing import draw
    from ecurie.requests.resolve import resolve_for_cli

    drawn = draw(body, catalog)
    _download_missing(drawn.body, catalog, settings)
    return drawn.into(resolve_for_cli(drawn.body, catalog, settings.max_pixels, picture_files(settings)))


def _download_missing(body: GenerateBody, catalog: Catalog, settings: Settings) -> None:
    """What the catalogue names and the request needs, where the settings allow it."""
    from ecurie.first_use import missing_sources

    missing = missing_sources(body, catalog)
    if missing:
        from ecurie.bootstrap import make_downloader
        from ecurie.cli.downloading import download_bar

        with download_bar("downloading") as listen:
            make_downloader(settings).fetch(missing, listen)


def checked_body(**fields: Any) -> GenerateBody:
    """From the flags that were given (not None). Raises InvalidRequest naming the first wrong one."""
    from pydantic import ValidationError

    from ecurie.mistakes import first_mistake
    from ecurie.requests.body import GenerateBody

    try:
        return GenerateBody(**{name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        name, reason = first_mistake(error)
        raise InvalidRequest(f"{name}: {reason}", field=name) from error


def parse_size(size: str | None) -> tuple[int | None, int | None]:
    return (None, None) if size is None else whole_size(size)


def whole_size(size: str) -> tuple[int, int]:
    """(width, height) in pixels. Raises InvalidRequest."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    if match is None:
        raise InvalidRequest(f"--size {size!r} should look like 1024x1024", field="size")
    return int(match[1]), int(match[2])


def parse_hires(
    scale: float | None, steps: int | None, strength: float | None, upscaler: str | None
) -> dict[str, Any] | None:
    given = {"scale": scale, "steps": steps, "strength": strength, "upscaler": upscaler}
    if scale is None and any(value is not None for value in given.values()):
        raise InvalidRequest("--hires-…: has a meaning only with --hires", field="hires")
    return None if scale is None else {name: value for name, value in given.items() if value is not None}


def parse_lora(text: str, strict: bool = True) -> dict[str, Any]:
    from ecurie.formats.prompt_tags import parse_tag

    try:
        tag = parse_tag(text, f"--lora '{text}'")
    except InvalidRequest as error:
        raise InvalidRequest(
            str(error), field="loras", remedy="write NAME, NAME:0.8 or NAME:te=1:unet=0.5"
        ) from None
    blocks = None if tag.blocks is None else list(tag.blocks)
    weights = {"unet": tag.unet, "text_encoder": tag.text_encoder}
    return {"name": tag.name, **weights, "blocks": blocks, "strict": strict}


def run_here(
    settings: Settings, request: GenerationRequest, output: Path | None, read: ReadPicture | None = None
) -> tuple[JobResult, list[Path]]:
    """Make the images in this process, with a bar; returns them as files, replays compared. `read` gets
    pictures that are not named by their paths."""
    import uuid
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ecurie import domain
    from ecurie.images.comparing import with_replay
    from ecurie.images.files import OutputFolder
    from ecurie.images.incoming import read_here
    from ecurie.images.storage import LocalFolder

    folder = output.parent if output else Path()
    kept = LocalFolder(folder)
    outputs = OutputFolder(kept, uuid.uuid4().hex, datetime.now(UTC), output.name if output else None)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=request.total_steps)
        from ecurie.bootstrap import make_engine

        engine = make_engine(settings)

        def listen(progress: domain.Progress) -> None:
            bar.update(task, description=progress.phase, completed=progress.step, total=progress.total)

        result = engine.run(request, outputs, listen, read or read_here)
        result = with_replay(result, request, kept, read or read_here)
        bar.update(task, description="done")
    return result, [folder / image.filename for image in result.images]


def _show(request: GenerationRequest, result: JobResult, paths: list[Path], as_json: bool) -> None:
    import dataclasses
    import json

    from ecurie.requests.describe import describe

    if as_json:
        content = {
            "request": describe(request),
            "prompt": request.final_prompt,
            "images": [
                dataclasses.asdict(image) | {"path": str(path)}
                for image, path in zip(result.images, paths, strict=True)
            ],
            "warnings": result.warnings,
            "report": dataclasses.asdict(result.report),
            "setup": dataclasses.asdict(result.setup),
            "ip_adapter": result.ip_adapter and dataclasses.asdict(result.ip_adapter),
            "timings": dataclasses.asdict(result.timings),
        }
        json.dump(content, sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for image, path in zip(result.images, paths, strict=True):
        print(f"{path}  (seed {image.seed}, {image.width}x{image.height})")
