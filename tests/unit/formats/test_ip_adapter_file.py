"""What an IP-Adapter file is, and what is refused with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from ecurie.errors import AdapterInvalid, AdapterMismatch, EcurieError, WeightsInvalid, WeightsMissing
from ecurie.formats.image_encoder import read_image_encoder, refuse_other_encoder
from ecurie.formats.ip_adapter_file import (
    IpAdapterKind,
    cross_attentions,
    layer_key,
    read_ip_adapter,
)
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.ip_adapters import ENCODER, HIDDEN, PLAIN, TOKENS, plus_tensors, save_plus

Change = Callable[[dict[str, Tensor]], object]


def test_the_bundled_one_is_plain_and_fits_its_encoder() -> None:
    found = read_ip_adapter(PLAIN, files.demo_inventory())
    assert (found.kind, found.tokens, len(found.layers)) == (IpAdapterKind.PLAIN, 4, 11)
    encoder = read_image_encoder(ENCODER)
    assert found.encoder_width == encoder.width_for(found.kind) == 128
    refuse_other_encoder(found, encoder)


def test_a_resampler_is_plus_and_takes_hidden_states(tmp_path: Path) -> None:
    found = read_ip_adapter(save_plus(tmp_path / "plus.safetensors"), files.demo_inventory())
    assert (found.kind, found.tokens, found.encoder_width) == (IpAdapterKind.PLUS, TOKENS, HIDDEN)
    refuse_other_encoder(found, read_image_encoder(ENCODER))


def test_layers_are_counted_as_diffusers_counts_them() -> None:
    unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(DEMO_FOLDER, subfolder="unet"))
    numbered = {index: name for index, name in enumerate(unet.attn_processors) if "attn2" in name}
    ours = cross_attentions(files.demo_inventory())
    assert [f"{path}.processor" for path in ours] == list(numbered.values())
    expected = [f"ip_adapter.{number}.to_k_ip.weight" for number in numbered]
    assert [layer_key(number, "k") for number in range(len(ours))] == expected


def sd1(tensors: dict[str, Tensor]) -> None:
    """SD 1.5's cross-attentions take 768 numbers."""
    for key in [key for key in tensors if key.startswith("ip_adapter.")]:
        tensors[key] = torch.zeros(320, 768)


def face_id(tensors: dict[str, Tensor]) -> None:
    del tensors["image_proj.proj.weight"]
    tensors["image_proj.proj.0.weight"] = torch.zeros(1024, 512)


def adding(key: str, *shape: int, dtype: torch.dtype = torch.float16) -> Change:
    return lambda found: found.update({key: torch.zeros(shape, dtype=dtype)})


REFUSED: list[tuple[Change, type[EcurieError], str]] = [
    (sd1, AdapterMismatch, "for Stable Diffusion 1.5"),
    (face_id, AdapterMismatch, "FaceID or Full adapter"),
    (adding("ip_adapter.1.to_q_lora.down.weight", 4, 4), AdapterMismatch, "brings a LoRA"),
    (adding("image_proj.perceiver_resampler.latents", 1), AdapterMismatch, "face recogniser"),
    (adding("image_proj_model.proj.weight", 1), AdapterMismatch, "training checkpoint"),
    (lambda found: found.pop("ip_adapter.3.to_v_ip.weight"), AdapterMismatch, "lacks ip_adapter.3.to_v_ip"),
    (lambda found: found.pop("image_proj.norm.bias"), AdapterMismatch, "lacks image_proj.norm.bias"),
    (lambda found: found.pop("image_proj.proj.weight"), AdapterMismatch, "lacks image_proj.proj.weight"),
    (adding("ip_adapter.23.to_k_ip.weight", 96, 64), AdapterMismatch, "unknown ip_adapter.23"),
    (adding("ip_adapter.1.to_k_ip.weight", 128, 64), AdapterMismatch, "128×64 instead of 96×64"),
    (adding("image_proj.norm.bias", 64, dtype=torch.int64), AdapterInvalid, "dtype"),
]


@pytest.mark.parametrize(("change", "error", "reason"), REFUSED)
def test_another_kind_of_file_is_refused_with_the_reason(
    change: Change, error: type[EcurieError], reason: str, tmp_path: Path
) -> None:
    tensors = load_file(PLAIN)
    change(tensors)
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(error, match=reason):
        read_ip_adapter(tmp_path / "x.safetensors", files.demo_inventory())


@pytest.mark.parametrize(
    ("key", "shape", "reason"),
    [
        ("image_proj.layers.3.1.3.weight", None, "lacks image_proj.layers.3"),
        ("image_proj.layers.4.1.3.weight", (1,), "unknown image_proj.layers.4"),
        ("image_proj.latents", (5,), "lacks image_proj.latents"),
        ("image_proj.layers.0.0.to_q.weight", (60, 32), "other shapes"),
    ],
)
def test_a_resampler_of_another_build_is_refused(
    key: str, shape: tuple[int, ...] | None, reason: str, tmp_path: Path
) -> None:
    tensors = plus_tensors()
    tensors.pop(key, None)
    if shape is not None:
        tensors[key] = torch.zeros(shape)
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(AdapterMismatch, match=reason):
        read_ip_adapter(tmp_path / "x.safetensors", files.demo_inventory())


def test_a_lora_is_refused_as_what_it_is(tmp_path: Path) -> None:
    lora = files.save(tmp_path / "x.safetensors", files.kohya_tensors(files.attention_places()))
    with pytest.raises(AdapterMismatch, match="no IP-Adapter: it is a LoRA"):
        read_ip_adapter(lora, files.demo_inventory())


def test_another_encoder_than_the_one_it_was_trained_with_is_refused(tmp_path: Path) -> None:
    tensors = load_file(PLAIN)
    tensors["image_proj.proj.weight"] = torch.zeros(256, 1280)
    save_file(tensors, tmp_path / "bigg.safetensors")
    found = read_ip_adapter(tmp_path / "bigg.safetensors", files.demo_inventory())
    with pytest.raises(AdapterMismatch, match=r"gives 1280 numbers.*gives 128") as caught:
        refuse_other_encoder(found, read_image_encoder(ENCODER))
    assert "image_encoder" in (caught.value.remedy or "")


def test_what_is_no_image_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        read_image_encoder(tmp_path)
    shutil.copyfile(PLAIN, tmp_path / "model.safetensors")
    with pytest.raises(WeightsInvalid, match="no CLIP image encoder"):
        read_image_encoder(tmp_path)
    shutil.copyfile(ENCODER / "model.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(WeightsMissing, match=r"config\.json"):
        read_image_encoder(tmp_path)
    config = json.loads((ENCODER / "config.json").read_text())
    for content in ("[]", "{", "{}", json.dumps(config | {"patch_size": 0})):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(WeightsInvalid):
            read_image_encoder(tmp_path)
