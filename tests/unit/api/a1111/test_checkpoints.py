from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ecurie.catalog.catalog import Catalog
from ecurie.catalog.checkpoint_names import find_checkpoint, list_checkpoints
from ecurie.catalog.sources import DEMO_MODELS
from ecurie.errors import InvalidRequest, UnknownModel
from ecurie.formats.hashes import sha256_of
from ecurie.service import Service
from tests.conftest import DEMO_FOLDER

PONY = DEMO_MODELS / "pony-xl-v6.safetensors"
UNET = DEMO_FOLDER / "unet" / "diffusion_pytorch_model.safetensors"


def test_a_title_has_the_hash_of_the_unet_s_file_once_it_is_known(service: Service) -> None:
    known = {name: sha256_of(file) for name, file in (("base", UNET), ("pony", PONY))}
    base, pony = list_checkpoints(service.catalog)
    assert (base.title, base.sha256) == (f"base.safetensors [{known['base'][:10]}]", known["base"])
    assert (pony.title, pony.hash) == (f"pony.safetensors [{known['pony'][:10]}]", known["pony"][:10])
    assert (base.filename, pony.filename) == ("sdxl-base", "pony-xl-v6.safetensors")


@pytest.mark.parametrize(
    "name",
    [
        *("pony", "PONY", " pony ", "pony.safetensors", "Pony.safetensors [67ab2fd8ec]"),
        *("pony-xl-v6", "pony-xl-v6.safetensors", "PONY-XL-V6.safetensors [0123456789]"),
    ],
)
def test_a_model_is_found_by_id_title_and_file(name: str, service: Service) -> None:
    assert find_checkpoint(name, service.catalog) == "pony"


def test_a_model_is_found_by_its_hash(service: Service) -> None:
    whole = sha256_of(PONY)
    for name in (whole, whole[:10], whole[:10].upper(), f"renamed.safetensors [{whole[:10]}]"):
        assert find_checkpoint(name, service.catalog) == "pony"


@pytest.mark.parametrize(
    "name", ["nope", "nope.safetensors [0123456789]", "[", "pon", "0123456789", "x" * 500]
)
def test_an_unknown_model_is_told_those_that_are_known(name: str, service: Service) -> None:
    with pytest.raises(UnknownModel) as caught:
        find_checkpoint(name, service.catalog)
    assert "base.safetensors" in str(caught.value.remedy)


def test_a_file_of_two_models_is_no_name_for_one(tmp_path: Path) -> None:
    file = tmp_path / "ecurie.yaml"
    source = 'source: "demo:pony-xl-v6.safetensors", base: base'
    file.write_text(
        f'defaults: {{model: base}}\nmodels:\n  base: {{name: Base, source: "demo:sdxl-base"}}\n'
        f"  one: {{name: One, {source}}}\n  two: {{name: Two, {source}, clip_skip: 3}}\n"
    )
    catalog = Catalog(file, tmp_path / "models")
    with pytest.raises(InvalidRequest, match="several models") as caught:
        find_checkpoint("pony-xl-v6", catalog)
    assert caught.value.remedy == "use one of: one, two"
    with pytest.raises(InvalidRequest, match="several models"):
        find_checkpoint(sha256_of(PONY), catalog)
    assert find_checkpoint("two.safetensors", catalog) == "two"


def test_a_model_that_cannot_be_used_is_not_offered(tmp_path: Path) -> None:
    file = tmp_path / "ecurie.yaml"
    file.write_text(
        'defaults: {model: base}\nmodels:\n  gone: {name: Gone, source: "gone.safetensors"}\n'
        '  base: {name: Base, source: "demo:sdxl-base"}\n'
    )
    assert [name.id for name in list_checkpoints(Catalog(file, tmp_path / "models"))] == ["base"]


def test_an_adapter_is_found_by_what_its_file_calls_itself(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "adapters"
    folder.mkdir(parents=True)
    shutil.copyfile(
        DEMO_MODELS / "adapters" / "cyberpunk-style.safetensors", folder / "other name.safetensors"
    )
    catalog = service.catalog
    assert catalog.find_adapter("other name").id == "other-name"
    assert catalog.find_adapter("cyberpunk-style").id == "other-name"
    shutil.copyfile(folder / "other name.safetensors", folder / "third.safetensors")
    with pytest.raises(InvalidRequest, match="several adapters call themselves 'cyberpunk-style'") as caught:
        catalog.find_adapter("cyberpunk-style")
    assert caught.value.remedy == "use one of: other-name, third"
    assert catalog.find_adapter("third").id == "third"
