"""Adapter files told apart and refused, from their headers alone."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

from ecurie.domain import Unmatched
from ecurie.errors import (
    AdapterInvalid,
    AdapterMismatch,
    NotBuiltYet,
    WeightsInvalid,
)
from ecurie.formats.adapter_file import AdapterFile, read_adapter
from ecurie.formats.safetensors_file import read_header
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


def read(
    tmp_path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> AdapterFile:
    return read_adapter(files.save(tmp_path / "a.safetensors", tensors, metadata), files.demo_inventory())


def renamed(tensors: dict[str, torch.Tensor], old: str, new: str) -> dict[str, torch.Tensor]:
    return {key.replace(old, new): tensor for key, tensor in tensors.items()}


def first(tensors: dict[str, torch.Tensor], role: str) -> str:
    return next(key for key in tensors if role in key)


def test_ranks_and_modules_are_counted(tmp_path: Path) -> None:
    places = files.attention_places()
    mixed = files.kohya_tensors(places[:5], rank=4) | files.kohya_tensors(places[5:8], rank=16)
    described = read(tmp_path, mixed, {"ss_output_name": "mine"})
    assert described.ranks() == {4: 5, 16: 3}
    assert described.metadata == {"ss_output_name": "mine"}


def test_old_attention_processors_are_read(tmp_path: Path) -> None:
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
    shape = files.demo_inventory()["unet"][f"{path}.to_q"].shape
    pair = {}
    for layer in ("to_q", "to_out"):
        pair[f"unet.{path}.processor.{layer}_lora.down.weight"] = torch.zeros(2, shape[1])
        pair[f"unet.{path}.processor.{layer}_lora.up.weight"] = torch.zeros(shape[0], 2)
    described = read(tmp_path, pair)
    assert [module.path for module in described.modules] == [f"{path}.to_out.0", f"{path}.to_q"]


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


def read_loosely(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> AdapterFile:
    file = files.save(tmp_path / "a.safetensors", tensors)
    return read_adapter(file, files.demo_inventory(), strict=False)


def test_not_strict_keeps_what_fits_and_tells_the_rest(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    modules = len(read(tmp_path, tensors).modules)
    downs = [key for key in tensors if "lora_down" in key]
    tensors[downs[0]] = torch.zeros(4, 768)
    del tensors[downs[1]]
    for number in range(5):
        tensors[f"lora_unet_nothing_{number}.lora_up.weight"] = torch.zeros(4, 4)
    tensors["some.buffer"] = torch.zeros(1)
    described = read_loosely(tmp_path, tensors)
    assert len(described.modules) == modules - 2
    unmatched = described.unmatched
    assert unmatched is not None
    assert (unmatched.keys, len(unmatched.first_keys), unmatched.modules) == (6, 3, 2)
    assert set(unmatched.first_keys) < {key for key in tensors if "nothing" in key or "buffer" in key}
    assert any("4×768" in reason for reason in unmatched.first_modules)
    assert any("a part is missing" in reason for reason in unmatched.first_modules)


def test_not_strict_with_a_whole_file_leaves_nothing_out(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    described = read_loosely(tmp_path, tensors)
    assert described.unmatched == Unmatched(0, (), 0, ())
    assert described.modules == read(tmp_path, tensors).modules


def test_not_strict_still_refuses_what_does_not_fit_at_all(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    strangers = {
        key.replace("lora_unet_", "lora_unet_double_blocks_0_"): tensor for key, tensor in tensors.items()
    }
    with pytest.raises(AdapterMismatch, match=r"18 of 18 keys .* Flux"):
        read_loosely(tmp_path, strangers)
    ups = {key: tensor for key, tensor in tensors.items() if "lora_up" in key}
    with pytest.raises(AdapterInvalid, match="a part is missing"):
        read_loosely(tmp_path, ups)


def test_not_strict_still_refuses_damage(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    integers = tensors | {first(tensors, "lora_up"): torch.zeros(4, 4, dtype=torch.int8)}
    with pytest.raises(AdapterInvalid, match="dtype"):
        read_loosely(tmp_path, integers)
    file = files.save(tmp_path / "cut.safetensors", tensors)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(WeightsInvalid):
        read_adapter(file, files.demo_inventory(), strict=False)


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


@pytest.mark.parametrize("on_input", [True, False])
def test_a_scaling_vector_for_the_other_side_is_refused(tmp_path: Path, on_input: bool) -> None:
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    outputs, inputs = files.demo_inventory()["unet"][path].shape
    assert outputs != inputs
    name = f"lora_unet_{path.replace('.', '_')}"
    for size, fits in ((inputs, on_input), (outputs, not on_input)):
        vector = {f"{name}.weight": torch.zeros(size), f"{name}.on_input": torch.tensor(float(on_input))}
        if fits:
            assert read(tmp_path, vector).ranks() == {0: 1}
        else:
            with pytest.raises(AdapterMismatch, match="do not fit"):
                read(tmp_path, vector)


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("base_model.model.conv_in.oft_r", "OFT of PEFT before 0.14"),
        ("base_model.model.conv_in.boft_R", "PEFT's BOFT"),
        ("lora_unet_conv_in.oft_R.scaled_oft", "OneTrainer's scaled OFT"),
        ("unet.conv_in.lora_B.bias", "LoRA with a trained bias"),
        ("bundle_emb.me.clip_l_out", "output embedding"),
    ],
)
def test_what_is_not_built_yet_is_named_not_left_out(
    tmp_path: Path, tensors: dict[str, torch.Tensor], key: str, what: str
) -> None:
    tensors[key] = torch.zeros(4, 4)
    with pytest.raises(NotBuiltYet, match=what):
        read(tmp_path, tensors)


def test_a_onetrainer_file_is_read_whole_with_its_embeddings(tmp_path: Path) -> None:
    kohya = files.kohya_tensors([("unet", "conv_in"), ("text_encoder_2", "encoder.layers.0.mlp.fc1")])
    omi = {
        key.replace("lora_unet_conv_in", "unet.input_blocks.0.0").replace(
            "lora_te2_text_model_encoder_layers_0_mlp_fc1", "clip_g.text_model.encoder.layers.0.mlp.fc1"
        ): tensor
        for key, tensor in kohya.items()
    }
    omi |= {f"bundle_emb.<me>.{role}": torch.zeros(2, 32) for role in ("clip_l", "clip_g")}
    described = read(tmp_path, omi)
    assert described.naming == "OneTrainer (OMI)"
    assert {(module.part, module.path) for module in described.modules} == {
        ("unet", "conv_in"),
        ("text_encoder_2", "encoder.layers.0.mlp.fc1"),
    }
    assert [(one.name, one.vectors) for one in described.embeddings] == [("<me>", 2)]


@pytest.mark.parametrize("start", ["lora_unet.", "lora_unet_", "unet."])
def test_onetrainer_s_oft_is_refused_because_its_versions_differ(tmp_path: Path, start: str) -> None:
    name = "input_blocks.0.0" if start == "unet." else "conv_in"
    with pytest.raises(NotBuiltYet, match="OneTrainer's OFT: its versions turn by different formulas"):
        read(tmp_path, {f"{start}{name}.oft_R.weight": torch.zeros(9, 6)})


def test_a_checkpoint_is_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(AdapterMismatch, match="a checkpoint, not an adapter"):
        read(tmp_path, {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4)})


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (b"", "it is empty", "download"),
        (b"hello, I am a text file", "it is text", None),
        (b"hi", "it is text", None),
        (pickle.dumps({"a": 1}), "it is a pickle", "as .safetensors"),
        (b"<!DOCTYPE html>\n<html>", "it is a web page", "download failed"),
        (b"  \n<html><body>", "it is a web page", "download failed"),
        (b'{"error": "Unauthorized"}', "it is JSON text", "download failed"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
            "a git-lfs pointer",
            "git lfs pull",
        ),
        (b"GGUF\x03\0\0\0" * 9, "it is a GGUF file", "as .safetensors"),
        (bytes(range(0x90, 0xD0)), "cut short", "interrupted"),
    ],
)
def test_what_is_no_safetensors_file_is_named(
    tmp_path: Path, content: bytes, what: str, remedy: str | None
) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    with pytest.raises(WeightsInvalid, match=f"not a safetensors file: .*{what}") as caught:
        read_adapter(file, files.demo_inventory())
    assert (remedy or "") in (caught.value.remedy or "")


def test_a_torch_file_renamed_is_named(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsInvalid, match="a zip archive") as caught:
        read_adapter(tmp_path / "a.safetensors", files.demo_inventory())
    assert "as .safetensors" in (caught.value.remedy or "")


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
        (b'{"\\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4, None),
        (b"[" * 100_000, 0, None),
        (b'{"a":' * 100_000, 0, None),
        (b'{"a":{"dtype":"F32","shape":[' + b"9" * 5_000 + b'],"data_offsets":[0,4]}}', 4, None),
        (b'{"a":{"dtype":"F32","shape":[' + b"9" * 4_000 + b'],"data_offsets":[0,4]}}', 4, None),
        (b'{"a":{"dtype":"F32","shape":[' + b"9," * 400_000 + b'9],"data_offsets":[0,4]}}', 4, None),
        (b'{"a":{"dtype":"' + b"F" * 100_000 + b'","shape":[],"data_offsets":[0,4]}}', 4, None),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, header: bytes, data: int, said: int | None) -> None:
    file = header_file(tmp_path / "a.safetensors", header, data, said)
    with pytest.raises(WeightsInvalid) as caught:
        read_adapter(file, files.demo_inventory())
    assert len(str(caught.value)) < 1_000


def test_a_header_of_200_mb_is_not_read(tmp_path: Path) -> None:
    file = header_file(tmp_path / "a.safetensors", b"{", said=200_000_000)
    with file.open("r+b") as stream:
        stream.truncate(300_000_000)
    began = time.process_time()
    with pytest.raises(WeightsInvalid, match="a header of 200,000,000 bytes"):
        read_adapter(file, files.demo_inventory())
    assert time.process_time() - began < 1


def test_keys_of_a_megabyte_are_shortened_in_the_message(tmp_path: Path) -> None:
    key = "lora_unet_" + "x" * 1_000_000
    pair = {f"{key}.lora_up.weight": torch.zeros(8, 4), f"{key}.lora_down.weight": torch.zeros(4, 8)}
    with pytest.raises(AdapterMismatch) as caught:
        read(tmp_path, pair)
    assert len(str(caught.value)) < 2_000


def test_metadata_that_no_answer_can_carry_is_made_readable(tmp_path: Path) -> None:
    file = header_file(tmp_path / "a.safetensors", b'{"__metadata__":{"\\ud800":"a\\udfff", "b": [1]}}')
    assert read_header(file).metadata == {"?": "a?", "b": "[1]"}
