"""A request that one machine accepted, on another where its files lie elsewhere."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from ecurie.catalog.catalog import Catalog
from ecurie.domain import GenerationRequest
from ecurie.errors import UnknownModel, WeightsMissing
from ecurie.requests.body import GenerateBody
from ecurie.requests.placing import is_placed, placed, sources_of
from ecurie.requests.resolve import resolve
from tests.conftest import DEMO_FOLDER

ADAPTER = DEMO_FOLDER.parent / "adapters" / "ink-sketch.safetensors"
OTHER_ADAPTER = ADAPTER.with_name("style-anime.safetensors")


def machine(folder: Path, sources: str) -> Catalog:
    folder.mkdir(exist_ok=True)
    file = folder / "ecurie.yaml"
    file.write_text(f"defaults: {{model: mine}}\nmodels:\n  mine: {{name: Mine, {sources}}}\n")
    return Catalog(file, folder / "models", download_on_use=True)


def put_files(folder: Path) -> None:
    """A model, its other VAE and an adapter."""
    shutil.copytree(DEMO_FOLDER, folder / "weights", copy_function=os.link)
    shutil.copytree(DEMO_FOLDER / "vae", folder / "vae", copy_function=os.link)
    (folder / "models" / "adapters").mkdir(parents=True)
    shutil.copy(ADAPTER, folder / "models" / "adapters" / "ink.safetensors")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A machine that has the files of the request, which another has accepted."""
    return tmp_path / "here"


@pytest.fixture
def request_(tmp_path: Path, here: Path) -> GenerationRequest:
    there = tmp_path / "there"
    catalog = machine(there, "source: ./weights, vae: ./vae")
    put_files(there)
    body = GenerateBody(prompt="cat", loras=[{"name": "ink", "weight": 0.5}])  # type: ignore[list-item]
    request = resolve(body, catalog, 10**9)
    assert is_placed(request)
    there.rename(here)
    return request


def test_its_files_are_found_by_id_and_by_hash(request_: GenerationRequest, here: Path) -> None:
    assert not is_placed(request_)
    catalog = machine(here, "source: ./weights, vae: ./vae")
    adapters = here / "models" / "adapters"
    (adapters / "ink.safetensors").rename(adapters / "named-otherwise.safetensors")
    found = placed(request_, catalog)
    assert is_placed(found)
    assert (found.model_path, found.vae_path) == (str(here / "weights"), str(here / "vae"))
    (use,) = found.adapters
    assert use.file == str(adapters / "named-otherwise.safetensors")
    assert (use.name, use.sha256, use.unet) == ("ink", request_.adapters[0].sha256, 0.5)
    unplaced = dataclasses.replace(
        found,
        model_path=request_.model_path,
        vae_path=request_.vae_path,
        adapters=request_.adapters,
    )
    assert unplaced == request_


def test_another_file_of_the_same_name_is_not_taken(request_: GenerationRequest, here: Path) -> None:
    shutil.copy(OTHER_ADAPTER, here / "models" / "adapters" / "ink.safetensors")
    with pytest.raises(WeightsMissing, match=request_.adapters[0].sha256):
        placed(request_, machine(here, "source: ./weights, vae: ./vae"))


def test_a_model_that_is_not_here_is_named(request_: GenerationRequest, here: Path) -> None:
    with pytest.raises(WeightsMissing, match="mine"):
        placed(request_, machine(here, "source: ./nowhere"))
    with pytest.raises(UnknownModel, match="other"):
        placed(dataclasses.replace(request_, model="other"), machine(here, "source: ./weights"))


def test_what_the_catalogue_can_download_is_downloaded(request_: GenerationRequest, here: Path) -> None:
    catalog = machine(here, f"source: 'hf:a/model@{'0' * 40}'")
    assert [str(source) for source in sources_of(request_, catalog)] != []
    assert sources_of(request_, machine(here, "source: ./weights")) == ()
