"""Flags that several verbs share; a flag left out falls back to environment, file and default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[Path | None, typer.Option(help="Folder of all state [ECURIE_DATA_DIR; ~/.ecurie].")]
Url = Annotated[str | None, typer.Option(help="The server [http://ECURIE_HOST:ECURIE_PORT].")]
JobId = Annotated[str, typer.Argument(help="As POST /generate and `ecurie jobs` tell it.")]
CatalogPath = Annotated[Path | None, typer.Option("--catalog", help="Catalogue file [ECURIE_CATALOG].")]
Demo = Annotated[bool | None, typer.Option("--demo", help="Use the bundled demo models [ECURIE_DEMO].")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, mps, cuda or cuda:N [ECURIE_DEVICE].")]
NegativePrompt = Annotated[str | None, typer.Option(help="What to avoid [the model's].")]
Model = Annotated[str | None, typer.Option(help="Catalogue id, diffusers folder or single file.")]
Lora = Annotated[
    list[str] | None,
    typer.Option(help="Adapter ID_OR_PATH[:WEIGHT[:UNET_WEIGHT]][:te=W][:unet=W][:lbw=N,N,…]; repeatable."),
]
Preset = Annotated[str | None, typer.Option(help="Catalogue id of settings; those given here win.")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps [30].")]
GuidanceScale = Annotated[float | None, typer.Option(help="How closely to follow the prompt [7.5].")]
Seed = Annotated[int | None, typer.Option(help="Same seed, same picture [drawn].")]
Size = Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels [the model's].")]
Scheduler = Annotated[str | None, typer.Option(help="See `ecurie models --schedulers` [the model's].")]
ClipSkip = Annotated[int | None, typer.Option(help="As the web UIs count [the model's].")]
PromptSyntax = Annotated[str, typer.Option(help="auto (told by the marks), compel or a1111.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
