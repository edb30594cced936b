"""Adapter files told apart and refused, from their headers alone."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from ecurie.errors import (
    AdapterInvalid,
    AdapterMismatch,
    EcurieError,
    NotBuiltYet,
    RequestError,
    WeightsInvalid,
)
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.sgm_names import sgm_names
from tests.unit.adapters import files

# SDXL base's own configuration (its published unet/config.json), for key names at full depth.
SDXL_UNET = {
    "sample_size": 128,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [320, 640, 1280],
    "layers_per_block": 2,
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "use_linear_projection": True,
}


def test_every_key_of_the_true_sdxl_unet_maps_as_diffusers_maps_it() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SDXL_UNET)
    keys = set(unet.state_dict())
    paths = {key.rpartition(".")[0] for key in keys}
    names = sgm_names(paths)
    assert set(names.values()) == paths
    original = {
        f"{name}.{kind}": f"{path}.{kind}"
        for name, path in names.items()
        for kind in ("weight", "bias")
        if f"{path}.{kind}" in keys
    }
    # Diffusers converts a checkpoint whose values are the names we expect.
    marked = {f"model.diffusion_model.{name}": expected for name, expected in original.items()}
    config = dict(unet.config) | {"class_embed_type": None}
    converted = convert_ldm_unet_checkpoint(marked, config)
    assert converted == {expected: expected for expected in original.values()}


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return files.kohya_tensors(files.attention_places()[:6])


def read(tmp_path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> object:
    return read_adapter(files.save(tmp_path / "a.safetensors", tensors, metadata), files.demo_inventory())


def renamed(tensors: dict[str, torch.Tensor], old: str, new: str) -> dict[str, torch.Tensor]:
    return {key.replace(old, new): tensor for key, tensor in tensors.items()}


def first(tensors: dict[str, torch.Tensor], role: str) -> str:
    return next(key for key in tensors if role in key)


def test_ranks_and_modules_are_counted(tmp_path: Path) -> None:
    places = files.attention_places()
    mixed = files.kohya_tensors(places[:5], rank=4) | files.kohya_tensors(places[5:8], rank=16)
    described = read(tmp_path, mixed, {"ss_output_name": "mine"})
    assert described.ranks() == {4: 5, 16: 3}  # type: ignore[attr-defined]
    assert described.metadata == {"ss_output_name": "mine"}  # type: ignore[attr-defined]


def test_old_attention_processors_are_read(tmp_path: Path) -> None:
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
    shape = files.demo_inventory()["unet"][f"{path}.to_q"].shape
    pair = {}
    for layer in ("to_q", "to_out"):
        pair[f"unet.{path}.processor.{layer}_lora.down.weight"] = torch.zeros(2, shape[1])
        pair[f"unet.{path}.processor.{layer}_lora.up.weight"] = torch.zeros(shape[0], 2)
    described = read(tmp_path, pair)
    assert [module.path for module in described.modules] == [f"{path}.to_out.0", f"{path}.to_q"]  # type: ignore[attr-defined]


def test_a_key_without_a_module_refuses_the_file_and_is_named(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    tensors["lora_unet_down_blocks_9_nothing.lora_up.weight"] = torch.zeros(4, 4)
    with pytest.raises(AdapterMismatch, match=r"1 of 19 keys .* lora_unet_down_blocks_9_nothing"):
        read(tmp_path, tensors)


@pytest.mark.parametrize(
    ("prefix", "family"),
    [
        ("lora_te_text_model_encoder_layers_0_mlp_fc1", "Stable Diffusion 1.5"),
        ("lora_unet_double_blocks_0_img_attn_qkv", "Flux"),
        ("transformer.single_transformer_blocks.0.attn.to_q", "Flux"),
        ("lora_unet_joint_blocks_0_x_block_attn_qkv", "Stable Diffusion 3"),
    ],
)
def test_a_file_for_another_family_is_recognised(tmp_path: Path, prefix: str, family: str) -> None:
    pair = {f"{prefix}.lora_up.weight": torch.zeros(8, 4), f"{prefix}.lora_down.weight": torch.zeros(4, 8)}
    with pytest.raises(AdapterMismatch, match=family):
        read(tmp_path, pair)


def test_a_lora_of_another_width_is_refused_with_the_shapes(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    """An SD 1.5 LoRA has the same module names in places: the width of its prompt embeds tells."""
    key = first(tensors, "lora_down")
    tensors[key] = torch.zeros(4, 768)
    with pytest.raises(AdapterMismatch, match="4×768"):
        read(tmp_path, tensors)


@pytest.mark.parametrize("role", ["lora_up", "lora_down"])
def test_half_of_a_pair_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor], role: str) -> None:
    del tensors[first(tensors, role)]
    with pytest.raises(AdapterInvalid, match="a part is missing"):
        read(tmp_path, tensors)


def test_two_tensors_for_one_role_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    key = first(tensors, "lora_up.weight")
    tensors[key.replace("lora_up", "lora.up")] = tensors[key]
    with pytest.raises(AdapterInvalid, match="two tensors"):
        read(tmp_path, tensors)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.int64])
def test_integers_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    key = first(tensors, "lora_up")
    tensors[key] = tensors[key].to(dtype)
    with pytest.raises(AdapterInvalid, match="dtype"):
        read(tmp_path, tensors)


def test_a_rank_of_zero_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    up, down = first(tensors, "lora_up"), first(tensors, "lora_down")
    tensors[up], tensors[down] = tensors[up][:, :0], tensors[down][:0]
    with pytest.raises(AdapterMismatch, match="×0"):
        read(tmp_path, tensors)


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("lora_unet_x.oft_R.weight", "PEFT's OFT"),
        ("lora_unet_x.ia3_l", r"PEFT's \(IA\)\^3"),
        ("bundle_emb.me.string_to_param.*", "embeddings"),
    ],
)
def test_what_is_not_built_yet_is_named_not_left_out(
    tmp_path: Path, tensors: dict[str, torch.Tensor], key: str, what: str
) -> None:
    tensors[key] = torch.zeros(4, 4)
    with pytest.raises(NotBuiltYet, match=what):
        read(tmp_path, tensors)


def test_a_checkpoint_is_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(AdapterMismatch, match="a checkpoint, not an adapter"):
        read(tmp_path, {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4)})


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am a text file", b"\x80\x04pickle", b"PK\x03\x04zip" * 9]
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    with pytest.raises(WeightsInvalid, match="not a safetensors file"):
        read_adapter(file, files.demo_inventory())


def header_file(file: Path, header: bytes, data: int = 0, said: int | None = None) -> Path:
    length = len(header) if said is None else said
    file.write_bytes(length.to_bytes(8, "little") + header + bytes(data))
    return file


TENSOR = '"dtype":"F32","shape":[2],"data_offsets"'


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        (b"{}", 0, 200_000_000),
        (b"{}", 0, 2**63),
        (f'{{"a":{{{TENSOR}:[0,8]}},"b":{{{TENSOR}:[4,12]}}}}'.encode(), 12, None),
        (f'{{"a":{{{TENSOR}:[0,8]}},"a":{{{TENSOR}:[8,16]}}}}'.encode(), 16, None),
        (f'{{"a":{{{TENSOR}:[0,8]}},"b":{{{TENSOR}:[16,24]}}}}'.encode(), 24, None),
        (f'{{"a":{{{TENSOR}:[0,9]}}}}'.encode(), 9, None),
        (f'{{"a":{{{TENSOR}:[0,8]}}}}'.encode(), 7, None),
        (b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}', 4, None),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', 4, None),
        (b'{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', 4, None),
        (b'{"a":{"dtype":"F32","shape":["x"],"data_offsets":[0,4]}}', 4, None),
        (b'{"__metadata__":[]}', 0, None),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, header: bytes, data: int, said: int | None) -> None:
    file = header_file(tmp_path / "a.safetensors", header, data, said)
    with pytest.raises(WeightsInvalid):
        read_adapter(file, files.demo_inventory())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, 300), st.booleans())
def test_random_headers_end_in_an_error_of_ours(
    tmp_path: Path, noise: bytes, length: int, honest: bool
) -> None:
    file = header_file(tmp_path / "fuzz.safetensors", noise, said=None if honest else length)
    with pytest.raises(EcurieError):
        read_adapter(file, files.demo_inventory())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_real_file_ends_in_an_error_of_ours_or_is_still_whole(
    tmp_path: Path, data: st.DataObject
) -> None:
    file = tmp_path / "real.safetensors"
    save_file(
        {key: value.clone() for key, value in files.kohya_tensors(files.attention_places()[:2]).items()}, file
    )
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(900, len(content) - 1)))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    with contextlib.suppress(RequestError):
        read_adapter(file, files.demo_inventory())
