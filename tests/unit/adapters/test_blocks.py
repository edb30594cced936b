"""Block weights on the model: the oracle is what LyCORIS' and PEFT's own modules add to each weight."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from bench.lycoris_oracle import trained
from ecurie.adapters.patcher import Applied
from ecurie.adapters.reader import Adapter, load_adapter
from ecurie.engine.devices import Compute
from ecurie.engine.loader import Model, load_model
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.blocks import blocks_of, settle_blocks
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.formats.hashes import sha256_of
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.adapters.test_lycoris_files import file_state, module_at
from tests.unit.adapters.test_patcher import assert_pristine

# Module and the factor that BLOCKS gives it: input, middle, output, and what no name mentions.
PLACES = {
    "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q": 0.5,  # IN04
    "unet.down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k": 0.25,  # IN08
    "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_v": 1.0,
    "unet.up_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q": -2.0,  # OUT00
    "unet.up_blocks.1.attentions.2.transformer_blocks.0.attn2.to_k": 0.0,  # OUT05
    "unet.time_embedding.linear_1": 1.0,  # outside the blocks
    "text_encoder.encoder.layers.1.mlp.fc1": 3.0,
    "text_encoder_2.encoder.layers.0.self_attn.q_proj": 3.0,
}
BLOCKS = {"BASE": 3.0, "IN": 0.5, "IN08": 0.25, "OUT": 0.0, "OUT00": -2.0}
PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
UNET, TEXT = 0.8, 0.3


@pytest.fixture(scope="module")
def own_model(compute: Compute) -> Model:
    return load_model(read_checkpoint(ModelFiles(DEMO_FOLDER)), compute)


def key_of(place: str) -> str:
    part, _, path = place.partition(".")
    text = "" if part == "unet" else "text_model_"
    return PREFIXES[part] + text + path.replace(".", "_")


def lycoris_file(
    file: Path, model: Model, kind: type[LohaModule | LokrModule]
) -> tuple[Path, dict[str, Tensor]]:
    tensors, deltas = {}, {}
    for place in PLACES:
        module = trained(kind, module_at(model, place), 1.0, {"lora_dim": 4, "alpha": 4.0})
        tensors |= {f"{key_of(place)}.{role}": tensor for role, tensor in file_state(module).items()}
        # alpha equals the rank: LyCORIS applies their quotient twice here.
        deltas[place] = module.get_diff_weight(1.0)[0].detach()
    return files.save(file, tensors), deltas


def peft_file(file: Path, model: Model) -> tuple[Path, dict[str, Tensor]]:
    tensors, deltas = {}, {}
    for place in PLACES:
        layer = module_at(model, place)
        alone = nn.ModuleDict({"x": nn.Linear(layer.in_features, layer.out_features)})  # type: ignore[arg-type]
        config = LoraConfig(r=4, lora_alpha=4, target_modules=["x"], init_lora_weights=False)
        wrapped = get_peft_model(alone, config)  # type: ignore[arg-type]
        deltas[place] = wrapped.base_model.model["x"].get_delta_weight("default").detach()
        for name, tensor in get_peft_model_state_dict(wrapped).items():
            tensors[name.replace("base_model.model.x", place)] = tensor
    return files.save(file, tensors), deltas


def read(file: Path) -> Adapter:
    return load_adapter(read_adapter(file, files.demo_inventory()), sha256_of(file))


def applied(adapter: Adapter, blocks: dict[str, float]) -> Applied:
    weights = {"unet": UNET, "text_encoder": TEXT, "text_encoder_2": TEXT}
    block_of = blocks_of(frozenset(files.demo_inventory()["unet"]))
    return Applied(adapter, weights, settle_blocks(blocks), block_of)  # type: ignore[arg-type]


@pytest.mark.parametrize("maker", ["LoHa", "LoKr", "PEFT"])
def test_a_weight_is_the_base_and_its_delta_times_the_number_of_its_block(
    maker: str, own_model: Model, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    own_model.patcher.apply([])
    base = {place: module_at(own_model, place).weight.detach().clone() for place in PLACES}
    if maker == "PEFT":
        file, deltas = peft_file(tmp_path / "a.safetensors", own_model)
    else:
        kind = LohaModule if maker == "LoHa" else LokrModule
        file, deltas = lycoris_file(tmp_path / "a.safetensors", own_model, kind)
    written = own_model.patcher.apply([applied(read(file), BLOCKS)]).patched
    # The block of number 0 is not computed at all.
    assert written == len(PLACES) - 1
    for place, number in PLACES.items():
        weight = (UNET if place.startswith("unet") else TEXT) * number
        expected = base[place] + weight * deltas[place].reshape(base[place].shape)
        got = module_at(own_model, place).weight
        assert torch.allclose(got, expected, rtol=1e-5, atol=1e-6), place
        assert torch.equal(got, base[place]) == (number == 0), place
    own_model.patcher.apply([])
    assert_pristine(own_model)


def test_other_blocks_are_another_stack_and_blocks_of_one_are_none(own_model: Model, tmp_path: Path) -> None:
    adapter = read(files.save(tmp_path / "a.safetensors", files.kohya_tensors(files.attention_places())))
    own_model.patcher.apply([])
    assert own_model.patcher.apply([applied(adapter, {})]).patched > 0
    assert own_model.patcher.apply([applied(adapter, {"IN": 1, "OUT": 1})]).patched == 0
    assert own_model.patcher.apply([applied(adapter, {"IN": 0.5})]).patched > 0
    assert own_model.patcher.apply([applied(adapter, {"IN": 0.5})]).patched == 0
    own_model.patcher.apply([])
