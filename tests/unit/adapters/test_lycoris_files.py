"""Whole files of LyCORIS' modules on the demo model: applied, and compared with what the modules compute."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lycoris.modules.dylora import DyLoraModule
from lycoris.modules.full import FullModule
from lycoris.modules.norms import NormModule
from torch import Tensor, nn

from bench.lycoris_oracle import CASES, trained
from bench.peft_oracle import relative_error
from ecurie.adapters.patcher import Applied
from ecurie.adapters.reader import load_adapter
from ecurie.engine.devices import Compute
from ecurie.engine.loader import Model, load_model
from ecurie.errors import AdapterMismatch
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.formats.hashes import sha256_of
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.adapters.test_patcher import assert_pristine, digest

ATTENTION = "down_blocks.1.attentions.0"
PLACES: dict[str, tuple[str, tuple[int, ...]]] = {
    # Module path: the kohya key, and the shape of an input.
    f"unet.{ATTENTION}.transformer_blocks.0.attn2.to_k": ("lora_unet_{}", (3, 64)),
    f"unet.{ATTENTION}.transformer_blocks.0.ff.net.0.proj": ("lora_unet_{}", (3, 96)),
    "unet.down_blocks.1.resnets.0.conv1": ("lora_unet_{}", (2, 48, 6, 6)),
    "unet.down_blocks.1.resnets.0.conv_shortcut": ("lora_unet_{}", (2, 48, 6, 6)),
    "text_encoder.encoder.layers.1.mlp.fc1": ("lora_te1_text_model_{}", (3, 32)),
    "text_encoder_2.encoder.layers.0.self_attn.q_proj": ("lora_te2_text_model_{}", (3, 32)),
}


@pytest.fixture(scope="module")
def own_model(compute: Compute) -> Model:
    return load_model(read_checkpoint(ModelFiles(DEMO_FOLDER)), compute)


def module_at(model: Model, place: str) -> nn.Module:
    part, _, path = place.partition(".")
    roots = {
        "unet": model.unet,
        "text_encoder": model.text_encoders[0],
        "text_encoder_2": model.text_encoders[1],
    }
    try:
        found: nn.Module = roots[part].get_submodule(path)
    except AttributeError:
        found = roots[part].get_submodule(f"text_model.{path}")
    return found


def file_state(module: Any) -> dict[str, Tensor]:
    if isinstance(module, FullModule):
        parts = {"diff": module.weight, "diff_b": module.bias}
        return {role: part.detach().clone() for role, part in parts.items() if part is not None}
    return {name: tensor.detach() for name, tensor in module.state_dict().items()}


def key_of(place: str) -> str:
    return PLACES[place][0].format(place.partition(".")[2].replace(".", "_"))


def apply_file(model: Model, file: Path, multiplier: float) -> Any:
    described = read_adapter(file, files.demo_inventory())
    adapter = load_adapter(described, sha256_of(file))
    weights = dict.fromkeys(("unet", "text_encoder", "text_encoder_2"), multiplier)
    model.patcher.apply([Applied(adapter, weights)])  # type: ignore[arg-type]
    return described


@pytest.mark.parametrize("multiplier", [1.0, 0.3, -0.7])
@pytest.mark.parametrize("name", [name for name in CASES if name != "DyLoRA"])
def test_a_file_acts_on_the_model_as_the_trained_modules_do(
    name: str, multiplier: float, own_model: Model, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    own_model.patcher.apply([])
    algorithm, kind, options = CASES[name]
    tensors, expected = {}, {}
    for place, (_, shape) in PLACES.items():
        base = copy.deepcopy(module_at(own_model, place))
        # A butterfly needs blocks that fit 96 rows.
        rank = 8 if algorithm == "BOFT" else 4
        module = trained(kind, base, multiplier, {"lora_dim": rank, "alpha": 2.0} | options)
        tensors |= {f"{key_of(place)}.{role}": tensor for role, tensor in file_state(module).items()}
        inputs = torch.randn(shape)
        with torch.no_grad():
            if isinstance(module, FullModule):
                module.apply_to()
                weight, bias = module.make_weight(multiplier)
                changed = copy.deepcopy(module_at(own_model, place))
                changed.weight.copy_(weight)
                if bias is not None:
                    changed.bias.copy_(bias)
                expected[place] = inputs, changed(inputs)
            else:
                expected[place] = inputs, module(inputs)
    metadata = {"ss_network_args": json.dumps({"rs_lora": "True"})} if options.get("rs_lora") else None
    described = apply_file(own_model, files.save(tmp_path / "a.safetensors", tensors, metadata), multiplier)
    (label,) = described.algorithms()
    assert label == (f"{algorithm} (DoRA)" if "DoRA" in name else algorithm)
    with torch.no_grad():
        for place, (inputs, wanted) in expected.items():
            assert relative_error(module_at(own_model, place)(inputs), wanted) < 1e-5, place
    own_model.patcher.apply([])
    assert_pristine(own_model)


@pytest.mark.parametrize(
    "place", ["down_blocks.1.resnets.0.norm1", f"{ATTENTION}.transformer_blocks.0.norm1"]
)
def test_norm_weights_and_biases_are_added(place: str, own_model: Model, tmp_path: Path) -> None:
    torch.manual_seed(4)
    own_model.patcher.apply([])
    before = digest(own_model)
    base = module_at(own_model, f"unet.{place}")
    module = trained(NormModule, copy.deepcopy(base), 0.5, {})
    key = f"lora_unet_{place.replace('.', '_')}"
    tensors = {f"{key}.{role}": tensor for role, tensor in file_state(module).items()}
    inputs = torch.randn(2, 48, 6, 6) if "resnets" in place else torch.randn(3, 96)
    with torch.no_grad():
        wanted = module(inputs)
        apply_file(own_model, files.save(tmp_path / "a.safetensors", tensors), 0.5)
        assert relative_error(module_at(own_model, f"unet.{place}")(inputs), wanted) < 1e-5
    own_model.patcher.apply([])
    assert digest(own_model) == before


def test_a_dylora_file_is_a_lora_at_its_full_rank(own_model: Model, tmp_path: Path) -> None:
    torch.manual_seed(5)
    own_model.patcher.apply([])
    place = "unet.down_blocks.1.resnets.0.conv1"
    module = trained(
        DyLoraModule, copy.deepcopy(module_at(own_model, place)), 1.0, {"lora_dim": 8, "alpha": 4.0}
    )
    state = {name: tensor.detach() for name, tensor in module.custom_state_dict().items()}
    file = files.save(tmp_path / "d.safetensors", {f"{key_of(place)}.{role}": t for role, t in state.items()})
    base = module_at(own_model, place).weight.detach().clone()
    apply_file(own_model, file, 1.0)
    up, down = state["lora_up.weight"], state["lora_down.weight"]
    expected = base + (up @ down.flatten(1)).reshape(base.shape) * (4.0 / 8)
    torch.testing.assert_close(module_at(own_model, place).weight.detach(), expected)
    own_model.patcher.apply([])


def test_a_lycoris_prefix_means_the_unet(own_model: Model, tmp_path: Path) -> None:
    tensors = files.kohya_tensors(files.attention_places()[:2])
    renamed = {key.replace("lora_unet_", "lycoris_"): tensor for key, tensor in tensors.items()}
    described = read_adapter(files.save(tmp_path / "l.safetensors", renamed), files.demo_inventory())
    assert {module.part for module in described.modules} == {"unet"}


@pytest.mark.parametrize(
    ("role", "shape"),
    [
        ("hada_w2_b", (4, 999)),
        ("lokr_w2_b", (5, 64)),
        ("oft_blocks", (3, 5, 5)),
        ("dora_scale", (7, 1)),
        ("rescale", (5, 1)),
        ("a2.weight", (4, 5)),
        ("diff", (96, 63)),
    ],
)
def test_tensors_of_another_shape_are_refused(
    role: str, shape: tuple[int, ...], own_model: Model, tmp_path: Path
) -> None:
    names = {"hada": "LoHa", "lokr": "LoKr, both factored", "oft": "Diag-OFT", "dora": "DoRA, output rows"}
    names |= {"resc": "Diag-OFT, rescaled", "a2.w": "GLoRA", "diff": "full"}
    name = next(name for start, name in names.items() if role.startswith(start))
    _, kind, options = CASES[name]
    place = next(iter(PLACES))
    own_model.patcher.apply([])
    module = trained(
        kind, copy.deepcopy(module_at(own_model, place)), 1.0, {"lora_dim": 4, "alpha": 2.0} | options
    )
    tensors = {f"{key_of(place)}.{found}": tensor for found, tensor in file_state(module).items()}
    assert f"{key_of(place)}.{role}" in tensors
    tensors[f"{key_of(place)}.{role}"] = torch.zeros(shape)
    with pytest.raises(AdapterMismatch, match="do not fit"):
        read_adapter(files.save(tmp_path / "a.safetensors", tensors), files.demo_inventory())


def test_an_ia3_vector_for_the_other_axis_is_refused_and_leaves_nothing(
    own_model: Model, tmp_path: Path
) -> None:
    own_model.patcher.apply([])
    key = key_of(next(iter(PLACES)))
    tensors = {f"{key}.weight": torch.randn(64, 1), f"{key}.on_input": torch.tensor(0)}
    with pytest.raises(AdapterMismatch, match=r"64×1\) do not fit its weight of 96×64"):
        apply_file(own_model, files.save(tmp_path / "i.safetensors", tensors), 1.0)
    assert_pristine(own_model)
