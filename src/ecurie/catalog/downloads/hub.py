"""What a repository on the Hugging Face Hub holds, and which of its files a model needs."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ecurie.catalog.downloads.plan import Plan, RemoteFile
from ecurie.catalog.sources import INDEXES, HubSource, place_of
from ecurie.errors import DownloadFailed
from ecurie.formats.image_encoder import CONFIG_FILE as CONFIG_JSON
from ecurie.formats.image_encoder import WEIGHTS_FILE
from ecurie.formats.peft_config import CONFIG_FILE, PEFT_FILE

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

CONFIG = re.compile(
    r"(?:unet|vae|text_encoder|text_encoder_2|tokenizer|tokenizer_2|scheduler)/[^/]+\.(?:json|txt)"
)
PARTS = ("unet/", "vae/", "text_encoder/", "text_encoder_2/")
COMPONENT = "diffusion_pytorch_model"
SIGN_IN = "accept its terms on its page if it has any, then set HF_TOKEN"


def plan_hub(source: HubSource, models_dir: Path, *, pin: bool, endpoint: str | None) -> Plan:
    """Ask the hub once; every file is then of one commit, even if the repository moves.

    With `pin` the commit becomes part of the source, and so of the place. Raises DownloadFailed.
    """
    info = _ask(source, endpoint)
    files = {sibling.rfilename: sibling for sibling in info.siblings or []}
    fixed = _pinned(source, info, sorted(files)) if pin else source
    place = place_of(fixed, models_dir)
    file = _only_file(fixed.repository, sorted(files)) if fixed.only_file else fixed.file
    if fixed.folder:
        places = _places_of_component(fixed.folder, place, files)
    else:
        places = _places_of_file(file, place, files) if file else _places_of_folder(place, files)
    if not places or (file and file not in files):
        raise DownloadFailed(
            f"{source.repository} has no {file or fixed.folder or 'SDXL model in diffusers format'}",
            remedy=f"it has: {', '.join(_weights(files)[:8]) or 'no .safetensors file'}",
        )
    return Plan(
        source=_text(fixed),
        place=place,
        files=tuple(_remote(source, info, files[name], at, endpoint) for name, at in places.items()),
        name=Path(file).stem if file else source.repository.partition("/")[2],
        license=_license(info),
    )


def _pinned(source: HubSource, info: ModelInfo, names: list[str]) -> HubSource:
    fixed = replace(source, revision=info.sha)
    if source.file is None and source.folder is None and not set(names) & set(INDEXES):
        fixed = replace(fixed, file=_only_file(source.repository, names))
    return fixed


def _places_of_file(file: str, place: Path, files: Container[str]) -> dict[str, Path]:
    """The file, and PEFT's configuration where that lies beside it: the file is nothing without."""
    config = str(PurePosixPath(file).with_name(CONFIG_FILE))
    beside = PurePosixPath(file).name == PEFT_FILE and config in files
    return {**({config: place.with_name(CONFIG_FILE)} if beside else {}), file: place}


def _places_of_folder(folder: Path, files: Iterable[str]) -> dict[str, Path]:
    return {name: folder / name for name in _needed(sorted(files))}


def _places_of_component(folder: str, place: Path, files: Container[str]) -> dict[str, Path]:
    """A component of transformers: its weights, then its configuration, which opens the folder."""
    names = (WEIGHTS_FILE, CONFIG_JSON)
    found = {f"{folder}/{name}": place / name for name in names}
    return found if all(name in files for name in found) else {}


def _text(source: HubSource) -> str:
    revision, inner = f"@{source.revision}" if source.revision else "", source.file or source.folder
    return f"hf:{source.repository}{revision}{f'/{inner}' if inner else ''}"


def _license(info: ModelInfo) -> str | None:
    text = info.card_data.get("license") if info.card_data else None
    return text if isinstance(text, str) else None


def _only_file(repository: str, names: list[str]) -> str:
    found = _weights(names)
    if len(found) != 1:
        raise DownloadFailed(
            f"{repository} holds {len(found)} .safetensors files: which one is meant?",
            remedy=f"write hf:{repository}/<file>: {', '.join(found[:8]) or 'there is none'}",
        )
    return found[0]


def _weights(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.endswith(".safetensors")]


def _needed(names: list[str]) -> list[str]:
    """A pipeline's configurations and half-precision weights; or those of a component alone (a VAE)."""
    index = next((name for name in INDEXES if name in names), None)
    if index is None:
        return []
    starts = PARTS if index == "model_index.json" else (COMPONENT,)
    weights = [name for start in starts for name in _half(start, names)]
    configs = [name for name in names if CONFIG.fullmatch(name)] if starts is PARTS else []
    return [*configs, *weights, index] if weights else []


def _half(start: str, names: list[str]) -> list[str]:
    """The half-precision weights where the repository has them, else the full ones."""
    depth = start.count("/")
    mine = [name for name in _weights(names) if name.startswith(start) and name.count("/") == depth]
    half = [name for name in mine if name.endswith(".fp16.safetensors")]
    return half or mine


def _remote(
    source: HubSource, info: ModelInfo, sibling: RepoSibling, place: Path, endpoint: str | None
) -> RemoteFile:
    from huggingface_hub import get_token, hf_hub_url

    return RemoteFile(
        name=f"{sibling.rfilename} of {source.repository}",
        url=hf_hub_url(source.repository, sibling.rfilename, revision=info.sha, endpoint=endpoint),
        place=place,
        bytes=sibling.size,
        sha256=sibling.lfs.sha256 if sibling.lfs else None,
        token=get_token(),
        sign_in=SIGN_IN,
    )


def _ask(source: HubSource, endpoint: str | None) -> ModelInfo:
    from huggingface_hub import HfApi

    with _hub_errors(source.repository, source.revision):
        return HfApi(endpoint=endpoint).model_info(
            source.repository, revision=source.revision, files_metadata=True, timeout=30
        )


@contextmanager
def _hub_errors(repository: str, revision: str | None) -> Iterator[None]:
    """What the hub's client raises, as DownloadFailed with what to do."""
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise DownloadFailed(f"{repository} is gated", remedy=SIGN_IN) from error
    except RepositoryNotFoundError as error:
        raise DownloadFailed(
            f"the hub has no repository {repository}, or not for this token",
            remedy="check its name; a private one needs HF_TOKEN",
        ) from error
    except RevisionNotFoundError as error:
        raise DownloadFailed(f"{repository} has no revision {revision}") from error
    except OfflineModeIsEnabled as error:
        raise DownloadFailed(
            f"{repository} cannot be downloaded in offline mode", remedy="unset HF_HUB_OFFLINE"
        ) from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise DownloadFailed(
            f"{repository} could not be asked for its files: {error}", remedy="try again later"
        ) from error
