"""A checkpoint stored in the compute dtype is mapped; patched weights are new memory beside the file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ecurie.adapters.patcher import Applied, Change
from ecurie.adapters.reader import Adapter, load_adapter
from ecurie.engine.devices import Compute
from ecurie.engine.loader import Model, load_model
from ecurie.errors import AdapterInvalid
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model stored in float32, what the CPU computes in."""
    folder = tmp_path_factory.mktemp("models") / "single"
    shutil.copytree(DEMO_FOLDER, folder)
    for file in folder.rglob("*.safetensors"):
        save_file({key: tensor.float() for key, tensor in load_file(file).items()}, file)
    return folder


@pytest.fixture
def model(single: Path, compute: Compute) -> Iterator[Model]:
    loaded = load_model(read_checkpoint(ModelFiles(single)), compute)
    yield loaded
    loaded.patcher.apply([])


def adapter_with(tmp_path: Path, **options: float) -> Adapter:
    tensors = files.kohya_tensors(files.attention_places(), **options)  # type: ignore[arg-type]
    file = files.save(tmp_path / "a.safetensors", tensors)
    return load_adapter(read_adapter(file, files.demo_inventory()), "a")


def weights_of(model: Model) -> dict[str, Tensor]:
    return dict(model.unet.state_dict())


def test_mapped_weights_take_no_memory_and_come_back_as_the_very_same(model: Model, tmp_path: Path) -> None:
    pointers = {name: tensor.data_ptr() for name, tensor in weights_of(model).items()}
    copies = {name: tensor.clone() for name, tensor in weights_of(model).items()}
    change = model.patcher.apply([Applied(adapter_with(tmp_path), {"unet": 1.0})])
    moved = [name for name, tensor in weights_of(model).items() if tensor.data_ptr() != pointers[name]]
    assert len(moved) == change.patched > 0
    assert all(not torch.equal(weights_of(model)[name], copies[name]) for name in moved)
    assert model.patcher.apply([]).restored == len(moved)
    assert {name: tensor.data_ptr() for name, tensor in weights_of(model).items()} == pointers
    assert all(torch.equal(tensor, copies[name]) for name, tensor in weights_of(model).items())


def test_a_patched_weight_is_patched_again_from_the_base(model: Model, tmp_path: Path) -> None:
    adapter = adapter_with(tmp_path)
    model.patcher.apply([Applied(adapter, {"unet": 0.5})])
    at_once = {name: tensor.clone() for name, tensor in weights_of(model).items()}
    for weight in (1.0, -0.7, 0.5):
        model.patcher.apply([Applied(adapter, {"unet": weight})])
    assert all(torch.equal(tensor, at_once[name]) for name, tensor in weights_of(model).items())


def test_the_model_outlives_the_replacement_of_its_files(
    single: Path, compute: Compute, tmp_path: Path
) -> None:
    folder = tmp_path / "replaced"
    shutil.copytree(single, folder)
    model = load_model(read_checkpoint(ModelFiles(folder)), compute)
    before = {name: tensor.clone() for name, tensor in weights_of(model).items()}
    for file in folder.rglob("*.safetensors"):
        zeros = file.with_suffix(".new")
        save_file({key: tensor * 0 for key, tensor in load_file(file).items()}, zeros)
        zeros.replace(file)
    model.patcher.apply([Applied(adapter_with(tmp_path), {"unet": 1.0})])
    model.patcher.apply([])
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights_of(model).items())


def test_live_weights_that_differ_from_the_file_are_found(model: Model, tmp_path: Path) -> None:
    model.patcher.apply([Applied(adapter_with(tmp_path), {"unet": 1.0})])
    assert model.patcher.drifted() == []
    model.patcher.apply([])
    parameter = model.unet.conv_in.bias
    pristine = parameter.data
    parameter.data = pristine + 1e-3
    assert model.patcher.drifted() == [("unet", "conv_in", "bias")]
    parameter.data = pristine
    assert model.patcher.drifted() == []


def test_an_alpha_that_makes_weights_infinite_is_refused_and_leaves_nothing(
    model: Model, tmp_path: Path
) -> None:
    adapter = adapter_with(tmp_path, alpha=3e38, size=10.0)
    before = {name: tensor.clone() for name, tensor in weights_of(model).items()}
    with pytest.raises(AdapterInvalid, match="infinite or NaN"):
        model.patcher.apply([Applied(adapter, {"unet": 4.0})])
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights_of(model).items())
    assert model.patcher.apply([]) == Change()


def test_a_large_alpha_whose_sum_is_finite_is_applied(model: Model, tmp_path: Path) -> None:
    adapter = adapter_with(tmp_path, alpha=1e30, size=1e-6)
    assert model.patcher.apply([Applied(adapter, {"unet": 1e-12})]).patched > 0
