"""From a catalogue's `source` to its place on this disk, and what to run when it is not there.

Forms: `demo:<folder>` (bundled), `hf:<owner>/<repository>[@<revision>][/<file>]`, `civitai:<version id>`,
`urn:air:…`, `https://…/<file>.safetensors#sha256=<64 hex>`, or a path (relative to the catalogue file). An
image encoder is `hf:<owner>/<repository>[@<revision>]/<folder>`, a bundled folder, or a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ecurie.errors import InvalidRequest, WeightsMissing
from ecurie.formats.peft_config import PEFT_FILE

DEMO_MODELS = Path(__file__).parents[1] / "demo_models"
HF_SOURCE = re.compile(
    r"hf:(?P<repository>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?(?:/(?P<file>[\w. +()/-]+\.safetensors))?"
)
HF_FOLDER = re.compile(
    r"hf:(?P<repository>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?/(?P<folder>[\w.-]+(?:/[\w.-]+)*)"
)
CIVITAI_SOURCE = re.compile(r"civitai:(?:\d+@)?(?P<version>\d+)(?:\+(?P<file>\d+))?")
# https://github.com/civitai/civitai/wiki/AIR-%E2%80%90-Uniform-Resource-Names-for-AI
AIR_SOURCE = re.compile(
    r"urn:air:[\w-]+:[\w-]+:civitai:\d+@(?P<version>\d+)(?:\+(?P<file>\d+))?(?:\.safetensors?)?",
    re.IGNORECASE,
)
WEB_SOURCE = re.compile(r"(?P<url>https?://[^#]+)#sha256=(?P<sha256>[0-9a-fA-F]{64})")
# What a pipeline's or a component's folder is opened by; downloads write it last.
INDEXES = ("model_index.json", "config.json")
# What the only file of a repository is called here: beside this name PEFT's configuration is looked for.
ONLY_FILE = PEFT_FILE
REMOTE_STARTS = ("hf:", "civitai:", "urn:air:", "https:", "http:")


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the Hugging Face Hub; without `file` its diffusers folder is meant, or with
    `only_file` the one .safetensors file that it holds, or a `folder` of one component in it."""

    repository: str
    revision: str | None
    file: str | None
    only_file: bool = False
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class CivitaiSource:
    """A version of a model on Civitai; without `file` (an id) its primary file is meant."""

    version: int
    file: int | None


@dataclass(frozen=True, slots=True)
class WebSource:
    """A file anywhere, told by its SHA-256 (64 hex digits)."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name as the address ends, in letters that every disk can write."""
        return re.sub(r"[^\w.+-]+", "-", Path(unquote(urlsplit(self.url).path)).name)


RemoteSource = HubSource | CivitaiSource | WebSource


def parse_hub_source(source: str) -> HubSource:
    """Raises InvalidRequest when the text is not `hf:owner/repository[@revision][/file.safetensors]`."""
    match = HF_SOURCE.fullmatch(source)
    if match is None or ".." in (match["file"] or "").split("/"):
        raise InvalidRequest(
            f"cannot read source {source!r}",
            remedy="write hf:<owner>/<repository>[@<revision>][/<file>.safetensors]",
        )
    return HubSource(match["repository"], match["revision"], match["file"])


def remote_of(source: str, *, adapter: bool = False) -> RemoteSource | None:
    """What can be downloaded; None for a path or a bundled folder. An adapter is always one file.

    Raises InvalidRequest for a text that begins as one of the forms and does not go on so.
    """
    if not source.startswith(REMOTE_STARTS):
        return None
    if source.startswith("hf:"):
        found = parse_hub_source(source)
        return replace(found, only_file=adapter and found.file is None)
    if source.startswith(("https:", "http:")):
        return _parse_web_source(source)
    match = CIVITAI_SOURCE.fullmatch(source) or AIR_SOURCE.fullmatch(source)
    if match is None:
        raise InvalidRequest(
            f"cannot read source {source!r}",
            remedy="write civitai:<version id> or urn:air:sdxl:<type>:civitai:<model id>@<version id>",
        )
    return CivitaiSource(int(match["version"]), int(match["file"]) if match["file"] else None)


def _parse_web_source(source: str) -> WebSource:
    match = WEB_SOURCE.fullmatch(source)
    if match is None:
        raise InvalidRequest(
            f"the source {source.partition('#')[0]!r} needs the SHA-256 of its file",
            remedy="write https://…/<file>.safetensors#sha256=<64 hex digits>; its page tells it",
        )
    found = WebSource(match["url"], match["sha256"].lower())
    try:
        usable = found.name.endswith(".safetensors") and "@" not in urlsplit(found.url).netloc
    except ValueError:
        raise InvalidRequest(f"the source {found.url!r} is no address") from None
    if not usable:
        raise InvalidRequest(
            f"the source {found.name!r} is not the address of a .safetensors file",
            remedy="pickles can run code; user names and passwords do not belong into the catalogue",
        )
    return found


def remote_folder_of(source: str) -> HubSource | None:
    """The folder of one component in a repository; None for a path or a bundled folder.

    Raises InvalidRequest for any other form.
    """
    if not source.startswith(REMOTE_STARTS):
        return None
    match = HF_FOLDER.fullmatch(source)
    if match is None or {".", ".."} & set(match["folder"].split("/")):
        raise InvalidRequest(
            f"cannot read source {source!r}", remedy="write hf:<owner>/<repository>[@<revision>]/<folder>"
        )
    return HubSource(match["repository"], match["revision"], None, folder=match["folder"])


def hub_folder(models_dir: Path, source: HubSource) -> Path:
    """Where a revision of a hub repository is put."""
    name = source.repository.replace("/", "--")
    return models_dir / "hub" / (f"{name}@{source.revision}" if source.revision else name)


def place_of(source: RemoteSource, models_dir: Path) -> Path:
    """Where a download is put: a folder for a hub repository without `file`, else a file."""
    if isinstance(source, HubSource):
        folder = hub_folder(models_dir, source)
        if source.folder:
            return folder / source.folder
        file = source.file or (ONLY_FILE if source.only_file else None)
        return folder / file if file else folder
    if isinstance(source, CivitaiSource):
        part = f"+{source.file}" if source.file else ""
        return models_dir / "civitai" / f"{source.version}{part}.safetensors"
    return models_dir / "web" / source.sha256[:16] / source.name


def is_here(source: RemoteSource, models_dir: Path) -> bool:
    """Whether a download has come to its end: the file, or the folder's index, which is written last."""
    place = place_of(source, models_dir)
    if not isinstance(source, HubSource) or source.file or source.only_file:
        return place.is_file()
    return any((place / index).is_file() for index in INDEXES)


def locate(source: str, *, model_id: str, base: Path, models_dir: Path) -> Path:
    """The folder or single file of a model or VAE, complete or not.

    Raises WeightsMissing, with the command that gets it, or InvalidRequest.
    """
    remote = remote_of(source)
    if remote is not None:
        return _downloaded(remote, f"model '{model_id}' ({source})", model_id, models_dir)
    if source.startswith("demo:"):
        path, remedy = DEMO_MODELS / source.removeprefix("demo:"), "install Écurie again: its files are gone"
    else:
        path = base / Path(source).expanduser()
        remedy = "correct its source in the catalogue, or put the files there"
    if not path.exists():
        raise WeightsMissing(f"model '{model_id}' should be at {path}, where nothing is", remedy=remedy)
    return path


def locate_folder(source: str, *, what: str, entry_id: str, base: Path, models_dir: Path) -> Path:
    """The folder of one component. Raises WeightsMissing, saying how to get it, or InvalidRequest."""
    remote = remote_folder_of(source)
    if remote is not None:
        return _downloaded(remote, f"{what} ({source})", entry_id, models_dir)
    bundled = source.startswith("demo:")
    path = DEMO_MODELS / source.removeprefix("demo:") if bundled else base / Path(source).expanduser()
    if not path.is_dir():
        remedy = "install Écurie again: its files are gone" if bundled else "correct it in the catalogue"
        raise WeightsMissing(f"{what} should be at {path}, where no folder is", remedy=remedy)
    return path


def _downloaded(source: RemoteSource, what: str, entry_id: str, models_dir: Path) -> Path:
    place = place_of(source, models_dir)
    if not is_here(source, models_dir):
        raise WeightsMissing(
            f"{what} has not been downloaded to {place}", remedy=f"run: ecurie pull {entry_id}"
        )
    return place


def locate_file(source: str, *, entry_id: str, base: Path, models_dir: Path) -> Path:
    """The one file of an adapter. Raises WeightsMissing, with the command that gets it, or InvalidRequest."""
    remote = remote_of(source, adapter=True)
    if remote is not None:
        return _downloaded(remote, f"adapter '{entry_id}' ({source})", entry_id, models_dir)
    if source.startswith("demo:"):
        path, remedy = (
            DEMO_MODELS / source.removeprefix("demo:"),
            "install Écurie again: its bundled files are gone",
        )
    else:
        path, remedy = (
            base / Path(source).expanduser(),
            "correct its source in the catalogue, or put the file there",
        )
    if not path.is_file():
        raise WeightsMissing(f"adapter '{entry_id}' should be at {path}, where no file is", remedy=remedy)
    return path
