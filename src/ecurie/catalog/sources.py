"""From a catalogue's `source` to a folder on this disk, and what to run when it is not there.

Forms: `demo:<folder>` (bundled), `hf:<owner>/<repository>[@<revision>][/<file>]`, `civitai:<version id>`,
`urn:air:…`, or a path (relative to the catalogue file).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ecurie.errors import InvalidRequest, NotBuiltYet, WeightsMissing

DEMO_MODELS = Path(__file__).parents[1] / "demo_models"
HF_SOURCE = re.compile(
    r"hf:(?P<repository>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?(?:/(?P<file>[\w./-]+\.safetensors))?"
)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the Hugging Face Hub; without `file` its diffusers folder is meant."""

    repository: str
    revision: str | None
    file: str | None


def parse_hub_source(source: str) -> HubSource:
    """Raises InvalidRequest when the text is not `hf:owner/repository[@revision][/file.safetensors]`."""
    match = HF_SOURCE.fullmatch(source)
    if match is None:
        raise InvalidRequest(
            f"cannot read source {source!r}",
            remedy="write hf:<owner>/<repository>[@<revision>][/<file>.safetensors]",
        )
    return HubSource(match["repository"], match["revision"], match["file"])


def hub_folder(models_dir: Path, source: HubSource) -> Path:
    """Where `ecurie pull` puts a revision of a hub repository."""
    name = source.repository.replace("/", "--")
    return models_dir / "hub" / (f"{name}@{source.revision}" if source.revision else name)


def locate(source: str, *, model_id: str, base: Path, models_dir: Path) -> Path:
    """The folder that holds a model, complete or not.

    Raises WeightsMissing (with the command that gets it) or NotBuiltYet for a form that cannot be run yet.
    """
    if source.startswith("demo:"):
        return DEMO_MODELS / source.removeprefix("demo:")
    if source.startswith(("civitai:", "urn:air:")) or source.endswith(".safetensors"):
        raise NotBuiltYet(
            f"model '{model_id}' is a single file ({source}); this release opens diffusers folders only",
            remedy="use a model in diffusers format",
        )
    if source.startswith("hf:"):
        folder = hub_folder(models_dir, parse_hub_source(source))
        if not (folder / "model_index.json").is_file():
            raise WeightsMissing(
                f"model '{model_id}' ({source}) has not been downloaded to {folder}",
                remedy=f"run: ecurie pull {model_id}",
            )
        return folder
    path = Path(source).expanduser()
    path = path if path.is_absolute() else base / path
    if not path.exists():
        raise WeightsMissing(
            f"model '{model_id}' should be at {path}, where nothing is",
            remedy="correct its source in the catalogue, or put the files there",
        )
    return path


def locate_file(source: str, *, entry_id: str, base: Path, models_dir: Path) -> Path:
    """The one file of an adapter.

    Raises WeightsMissing (with the command that gets it) or NotBuiltYet for a form that cannot be run yet.
    """
    if source.startswith(("civitai:", "urn:air:")):
        raise NotBuiltYet(f"adapter '{entry_id}' comes from {source}; Civitai sources cannot be used yet")
    if source.startswith("demo:"):
        path, remedy = (
            DEMO_MODELS / source.removeprefix("demo:"),
            "install Écurie again: its bundled files are gone",
        )
    elif source.startswith("hf:"):
        hub = parse_hub_source(source)
        if hub.file is None:
            raise InvalidRequest(
                f"the source of adapter '{entry_id}' ({source}) should name a .safetensors file"
            )
        path, remedy = hub_folder(models_dir, hub) / hub.file, f"run: ecurie pull {entry_id}"
    else:
        path, remedy = (
            base / Path(source).expanduser(),
            "correct its source in the catalogue, or put the file there",
        )
    if not path.is_file():
        raise WeightsMissing(f"adapter '{entry_id}' should be at {path}, where no file is", remedy=remedy)
    return path
