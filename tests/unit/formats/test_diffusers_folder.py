from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ecurie.errors import WeightsInvalid, WeightsMissing
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.formats.diffusers_folder import read_folder
from tests.conftest import DEMO_FOLDER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO_FOLDER, tmp_path / "model"))


def test_the_demo_folder_is_read() -> None:
    found = read_checkpoint(ModelFiles(DEMO_FOLDER))
    assert (found.size, found.factor, found.text_layers) == ((64, 64), 4, 3)
    assert {source.file.parent.name for source in found.parts.tensors["vae"].values()} == {"vae"}


def test_the_half_precision_variant_is_preferred(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    files = {source.file.name for source in read_folder(folder).tensors["unet"].values()}
    assert files == {"diffusion_pytorch_model.fp16.safetensors"}


@pytest.mark.parametrize(
    "name", ["model_index.json", "vae/config.json", "unet/diffusion_pytorch_model.safetensors"]
)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(WeightsMissing, match=Path(name).name.replace(".", r"\.")):
        read_folder(folder)


def test_a_missing_part_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "tokenizer_2")
    with pytest.raises(WeightsMissing, match="tokenizer_2"):
        read_folder(folder)


def test_another_kind_of_model_is_refused_by_name(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "FluxPipeline"}))
    with pytest.raises(WeightsInvalid, match="FluxPipeline"):
        read_folder(folder)


@pytest.mark.parametrize("keep", [0, 7, 100, 2000, -1])
def test_truncated_weights_are_refused(folder: Path, keep: int) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(WeightsInvalid, match="vae"):
        read_folder(folder)


def test_pickles_are_refused_and_not_opened(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(WeightsInvalid, match="pickled"):
        read_folder(folder)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_damaged_configurations_are_refused(folder: Path, content: bytes) -> None:
    (folder / "unet" / "config.json").write_bytes(content)
    with pytest.raises(WeightsInvalid, match=r"config\.json"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("unet/config.json", {}),
        ("vae/config.json", {"block_out_channels": 5}),
        ("text_encoder/config.json", {"num_hidden_layers": "many"}),
        ("unet/diffusion_pytorch_model.safetensors.index.json", {"weight_map": ["x"]}),
    ],
)
def test_configurations_that_lack_what_is_needed_are_refused(
    folder: Path, file: str, content: object
) -> None:
    (folder / file).write_text(json.dumps(content))
    if file.endswith("index.json"):
        (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsInvalid):
        read_checkpoint(ModelFiles(folder))


@pytest.mark.parametrize("header", [b"[]", b"55", b'{"a": 1}', b'{"a": {"data_offsets": [0]}}', b"[" * 5000])
def test_headers_of_another_form_are_refused(folder: Path, header: bytes) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(WeightsInvalid, match="damaged"):
        read_folder(folder)


def test_replaced_weights_change_the_stamp(folder: Path) -> None:
    before = read_checkpoint(ModelFiles(folder)).stamp
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes())
    assert read_checkpoint(ModelFiles(folder)).stamp != before
