"""Flags that several verbs share; a flag left out falls back to environment, file and default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[Path | None, typer.Option(help="Folder of all state [ECURIE_DATA_DIR; ~/.ecurie].")]
CatalogPath = Annotated[Path | None, typer.Option("--catalog", help="Catalogue file [ECURIE_CATALOG].")]
Demo = Annotated[bool | None, typer.Option("--demo", help="Use the bundled demo models [ECURIE_DEMO].")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps [ECURIE_DEVICE].")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
