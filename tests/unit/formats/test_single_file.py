"""Single files in the original layout; the oracle is diffusers' `from_single_file`."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from demo.single_file import read_folder_tensors, to_single_file
from ecurie.engine.devices import Compute
from ecurie.engine.engine import Engine
from ecurie.engine.loader import Model, load_model
from ecurie.errors import NotBuiltYet, WeightsInvalid, WeightsMissing
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.formats.parts import COMPONENTS
from ecurie.images.files import OutputFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.conftest import ignore, make_request


@pytest.fixture(scope="module")
def whole() -> dict[str, Tensor]:
    return to_single_file(read_folder_tensors(DEMO_FOLDER, list(COMPONENTS)))


def state_of(model: Model) -> dict[str, Tensor]:
    parts = {
        "unet": model.unet,
        "vae": model.vae,
        "text_encoder": model.text_encoders[0],
        "text_encoder_2": model.text_encoders[1],
    }
    return {
        f"{part}.{key}": tensor
        for part, module in parts.items()
        for key, tensor in module.state_dict().items()
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_folder_written_as_one_file_is_read_back_bit_for_bit(
    model: Model, compute: Compute, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    file = files.save(tmp_path / "one.safetensors", whole)
    loaded = load_model(read_checkpoint(ModelFiles(file, base=DEMO_FOLDER)), compute)
    model.patcher.apply([])
    assert same(state_of(loaded), state_of(model))


@pytest.mark.filterwarnings("ignore")
def test_diffusers_reads_the_same_weights_from_the_file(
    model: Model, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    """So that the layout is the published one, not only the inverse of our reader. diffusers tells the two
    text encoders apart by their width, which the demo's share: the second goes through its converter alone.
    """
    file = files.save(tmp_path / "one.safetensors", whole)
    oracle = StableDiffusionXLPipeline.from_single_file(
        str(file), config=str(DEMO_FOLDER), local_files_only=True, torch_dtype=torch.float32
    )
    model.patcher.apply([])
    for theirs, ours in (
        (oracle.unet, model.unet),
        (oracle.vae, model.vae),
        (oracle.text_encoder, model.text_encoders[0]),
    ):
        assert same(theirs.state_dict(), ours.state_dict())
    second = model.text_encoders[1]
    theirs = convert_open_clip_checkpoint(second, dict(whole), "conditioner.embedders.1.model.")
    wanted = {key: tensor.float() for key, tensor in theirs.items()}
    assert same(wanted, dict(second.state_dict()))


@pytest.mark.filterwarnings("ignore")
def test_a_single_file_draws_what_diffusers_draws_from_it(
    engine: Engine, outputs: OutputFolder, model: Model, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    file = files.save(tmp_path / "one.safetensors", whole)
    model.patcher.apply([])
    oracle = StableDiffusionXLPipeline.from_single_file(
        str(file),
        config=str(DEMO_FOLDER),
        text_encoder_2=model.text_encoders[1],
        local_files_only=True,
        torch_dtype=torch.float32,
        add_watermarker=False,
    )
    theirs = oracle(
        "red apple", num_inference_steps=4, height=64, width=64, generator=torch.Generator().manual_seed(7)
    ).images[0]
    request = make_request(prompt="red apple", negative_prompt="", steps=4, guidance_scale=5.0)
    request = dataclasses.replace(request, model_path=str(file), base_path=str(DEMO_FOLDER))
    (image,) = engine.run(request, outputs, ignore).images
    ours = np.asarray(Image.open(outputs.storage.folder / image.filename)).astype(int)
    assert np.abs(ours - np.asarray(theirs).astype(int)).max() <= 1


def test_a_unet_alone_by_diffusers_names_is_opened(compute: Compute, model: Model, tmp_path: Path) -> None:
    unet = read_folder_tensors(DEMO_FOLDER, ["unet"])["unet"]
    file = files.save(tmp_path / "unet.safetensors", unet)
    loaded = load_model(read_checkpoint(ModelFiles(file, base=DEMO_FOLDER)), compute)
    assert torch.equal(loaded.unet.conv_in.weight, unet["conv_in.weight"].float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_stored_precision_is_opened(
    compute: Compute, whole: dict[str, Tensor], tmp_path: Path, dtype: torch.dtype
) -> None:
    stored = {
        key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in whole.items()
    }
    file = files.save(tmp_path / "one.safetensors", stored)
    loaded = load_model(read_checkpoint(ModelFiles(file, base=DEMO_FOLDER)), compute)
    key = "model.diffusion_model.input_blocks.0.0.weight"
    assert torch.equal(loaded.unet.conv_in.weight, stored[key].float())


def test_parts_that_the_file_lacks_are_named_and_lent_by_a_base(
    compute: Compute, model: Model, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    unet = {key: tensor * 0 for key, tensor in whole.items() if key.startswith("model.diffusion_model.")}
    file = files.save(tmp_path / "unet.safetensors", unet)
    loaded = load_model(read_checkpoint(ModelFiles(file, base=DEMO_FOLDER)), compute)
    assert not loaded.unet.conv_in.weight.any()
    assert torch.equal(loaded.vae.decoder.conv_in.weight, model.vae.decoder.conv_in.weight)


def test_a_file_without_text_encoders_says_so(tmp_path: Path) -> None:
    """Of SDXL's own width, so that only the parts are wrong."""
    first = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3, dtype=torch.float16)}
    first["model.diffusion_model.label_emb.0.0.weight"] = torch.zeros(1280, 2816, dtype=torch.float16)
    file = files.save(tmp_path / "unet.safetensors", first)
    with pytest.raises(WeightsMissing, match="lacks its vae, text_encoder, text_encoder_2") as caught:
        read_checkpoint(ModelFiles(file))
    assert "base" in (caught.value.remedy or "")


def test_a_tiny_model_without_a_base_is_told_apart_from_sdxl(
    whole: dict[str, Tensor], tmp_path: Path
) -> None:
    file = files.save(tmp_path / "one.safetensors", whole)
    with pytest.raises(WeightsInvalid, match="begins with 48 channels, not 320"):
        read_checkpoint(ModelFiles(file))


@pytest.mark.parametrize(
    ("marks", "metadata", "expected"),
    [
        ({}, {}, ("epsilon", False)),
        ({"v_pred": torch.zeros(0)}, {}, ("v_prediction", False)),
        ({"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}, {}, ("v_prediction", True)),
        ({}, {"modelspec.prediction_type": "v"}, ("v_prediction", False)),
    ],
)
def test_v_prediction_and_zero_snr_are_told(
    whole: dict[str, Tensor],
    tmp_path: Path,
    marks: dict[str, Tensor],
    metadata: dict[str, str],
    expected: tuple[str, bool],
) -> None:
    file = files.save(tmp_path / "one.safetensors", whole | marks, metadata)
    config = read_checkpoint(ModelFiles(file, base=DEMO_FOLDER)).parts.scheduler_config
    assert (config["prediction_type"], config["rescale_betas_zero_snr"]) == expected


WRONG = {
    "a LoRA": (
        {"lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": (8, 4)},
        "is a LoRA or LyCORIS adapter",
    ),
    "a VAE": ({"decoder.up.0.block.0.conv1.weight": (4, 4, 3, 3), "encoder.down.0.x": (4,)}, "is a VAE"),
    "SD 1.5": (
        {"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)},
        "for Stable Diffusion 1.5",
    ),
    "SD 2": (
        {"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024)},
        "for Stable Diffusion 2",
    ),
    "the refiner": (
        {"model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (768, 1280)},
        "for the SDXL refiner",
    ),
    "SD 3": (
        {"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (4, 4)},
        "for Stable Diffusion 3",
    ),
    "Flux": ({"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": (4, 4)}, "for Flux"),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_kinds_of_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    shapes, reason = WRONG[name]
    file = files.save(tmp_path / "x.safetensors", {key: torch.zeros(shape) for key, shape in shapes.items()})
    with pytest.raises(WeightsInvalid, match=reason):
        read_checkpoint(ModelFiles(file))


def test_an_inpainting_model_is_refused_by_name(tmp_path: Path) -> None:
    key = "model.diffusion_model.input_blocks.0.0.weight"
    file = files.save(tmp_path / "x.safetensors", {key: torch.zeros(320, 9, 3, 3, dtype=torch.float16)})
    with pytest.raises(NotBuiltYet, match="inpainting"):
        read_checkpoint(ModelFiles(file))


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin"])
def test_pickles_are_refused_unopened(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model{suffix}"
    file.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(WeightsInvalid, match="pickle"):
        read_checkpoint(ModelFiles(file))


@pytest.mark.parametrize("form", ["folder", "model", "original", "diffusers"])
def test_another_vae_stands_instead_of_the_model_s_own(
    compute: Compute, whole: dict[str, Tensor], tmp_path: Path, form: str
) -> None:
    """From a VAE's folder, a whole model's folder, and a single file in either naming."""
    folder = tmp_path / "vae"
    shutil.copytree(DEMO_FOLDER / "vae", folder / "vae" if form == "model" else folder)
    weights = next(folder.rglob("*.safetensors"))
    changed = {key: tensor * 2 for key, tensor in load_file(weights).items()}
    save_file(changed, weights)
    path = folder if form in ("folder", "model") else weights
    if form == "original":
        path = files.save(tmp_path / "vae.safetensors", to_single_file({"vae": changed}))
    loaded = load_model(read_checkpoint(ModelFiles(DEMO_FOLDER, vae=path)), compute)
    for key, tensor in loaded.vae.state_dict().items():
        assert torch.equal(tensor, changed[key].float())


def test_a_file_that_is_no_vae_is_refused(tmp_path: Path) -> None:
    file = files.save(tmp_path / "x.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(WeightsInvalid, match="no VAE"):
        read_checkpoint(ModelFiles(DEMO_FOLDER, vae=file))
