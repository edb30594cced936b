"""Getting a model's files from the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecurie.catalog.catalog import Catalog
from ecurie.catalog.sources import hub_folder, parse_hub_source
from ecurie.errors import NotBuiltYet, UnknownModel, WeightsMissing
from ecurie.formats.diffusers_folder import read_folder
from ecurie.formats.safetensors_file import read_header

CONFIGS = ["model_index.json", "*/*.json", "*/*.txt"]
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")


def pull_model(catalog: Catalog, model_id: str, models_dir: Path) -> Path:
    """Download a `hf:` diffusers folder, resuming what is there, and check it. Shows progress bars.

    Raises UnknownModel, NotBuiltYet for other sources, WeightsMissing when the hub does not give the files.
    """
    entries = catalog.models()
    if model_id not in entries:
        raise UnknownModel(
            f"there is no model '{model_id}'", remedy=f"use one of: {', '.join(sorted(entries))}"
        )
    text = entries[model_id].source
    if not text.startswith("hf:"):
        raise NotBuiltYet(f"model '{model_id}' comes from {text}; only hf: sources can be pulled yet")
    source = parse_hub_source(text)
    if source.file is not None:
        raise NotBuiltYet(
            f"model '{model_id}' is the single file {source.file}; this release opens diffusers folders only"
        )
    folder = hub_folder(models_dir, source)
    _download(source.repository, source.revision, folder)
    read_folder(folder)
    return folder


def pull_adapter(catalog: Catalog, adapter_id: str, models_dir: Path) -> Path:
    """Download the one file of a `hf:` adapter.

    Raises NotBuiltYet for other sources, WeightsMissing when the hub does not give the file.
    """
    text = catalog.adapters()[adapter_id].source
    source = parse_hub_source(text) if text.startswith("hf:") else None
    if source is None or source.file is None:
        raise NotBuiltYet(f"adapter '{adapter_id}' comes from {text}; only hf: files can be pulled yet")
    folder = hub_folder(models_dir, source)
    with _hub_errors(source.repository, source.revision):
        from huggingface_hub import HfApi, hf_hub_download

        commit = HfApi().model_info(source.repository, revision=source.revision).sha
        hf_hub_download(source.repository, source.file, revision=commit, local_dir=folder)
    read_header(folder / source.file)
    return folder / source.file


def _download(repository: str, revision: str | None, folder: Path) -> None:
    from huggingface_hub import HfApi, snapshot_download

    with _hub_errors(repository, revision):
        # The commit is fixed first, so that all files are of one revision even if the repository moves.
        info = HfApi().model_info(repository, revision=revision)
        files = [sibling.rfilename for sibling in info.siblings or []]
        weights = [name for part in PARTS for name in _weights_of(part, files)]
        snapshot_download(
            repository, revision=info.sha, local_dir=folder, allow_patterns=[*CONFIGS, *weights]
        )


@contextmanager
def _hub_errors(repository: str, revision: str | None) -> Iterator[None]:
    """What the hub's client raises, as WeightsMissing with what to do."""
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise WeightsMissing(
            f"{repository} is gated", remedy="accept its terms on its page, then set HF_TOKEN"
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsMissing(f"the hub has no repository {repository}, or not for this token") from error
    except RevisionNotFoundError as error:
        raise WeightsMissing(f"{repository} has no revision {revision}") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError, OSError) as error:
        raise WeightsMissing(
            f"{repository} could not be downloaded: {error}", remedy="run the command again: it resumes"
        ) from error


def _weights_of(part: str, files: list[str]) -> list[str]:
    """The half-precision weights of a part where the repository has them, else the full ones."""
    mine = sorted(name for name in files if name.startswith(f"{part}/") and name.endswith(".safetensors"))
    half = [name for name in mine if name.endswith(".fp16.safetensors")]
    return half or mine
