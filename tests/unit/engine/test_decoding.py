"""Black and NaN images of half-precision VAEs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from ecurie.engine.decoding import decode
from ecurie.engine.devices import Compute
from ecurie.engine.engine import Engine
from ecurie.engine.residency import Budgets
from ecurie.errors import ImageNotFinite
from ecurie.images.files import OutputFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import ignore, request_of

OVERFLOW = 1e5
HALF = Compute(torch.device("cpu"), torch.float16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model with a VAE that overflows float16 (largest 65504), but not float32; float16 weights."""
    copy = tmp_path_factory.mktemp("models") / "overflowing"
    shutil.copytree(DEMO_FOLDER, copy)
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    for key in ("decoder.conv_in.weight", "decoder.conv_in.bias"):
        tensors[key] = (tensors[key].float() * OVERFLOW).half()
        assert tensors[key].isfinite().all()
    save_file(tensors, file, {"format": "pt"})
    config = json.loads((copy / "vae" / "config.json").read_text())
    (copy / "vae" / "config.json").write_text(json.dumps(config | {"force_upcast": False}))
    return copy


@pytest.fixture
def vae(folder: Path) -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float16, local_files_only=True)


def latents(dtype: torch.dtype = torch.float16) -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3)).to(dtype)


def test_an_overflowing_vae_is_run_again_in_float32_and_keeps_its_weights(vae: AutoencoderKL) -> None:
    scaled = latents() / vae.config.scaling_factor
    assert not vae.decode(scaled).sample.isfinite().all()
    before = {name: (tensor, tensor.data_ptr()) for name, tensor in vae.state_dict().items()}
    decoded = decode(vae, latents(), seed=7)
    assert decoded.warnings == ("the VAE gave a black or NaN image in float16: decoded again in float32",)
    assert {name: tensor.data_ptr() for name, tensor in vae.state_dict().items()} == {
        name: pointer for name, (_, pointer) in before.items()
    }
    expected = vae.float().decode(latents(torch.float32) / vae.config.scaling_factor).sample
    pixels = (expected[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1).detach().numpy()
    assert np.abs(np.asarray(decoded.image) - pixels * 255).max() <= 1
    assert pixels.std() > 0.05


def test_a_black_image_is_decoded_again_and_stays_black_if_it_is(vae: AutoencoderKL) -> None:
    """A VAE whose last layer says black gives black in float32 too: no error."""
    with torch.no_grad():
        vae.decoder.conv_in.weight /= OVERFLOW
        vae.decoder.conv_in.bias /= OVERFLOW
        vae.decoder.conv_out.weight.zero_()
        vae.decoder.conv_out.bias.fill_(-5)
    decoded = decode(vae, latents(), seed=7)
    assert len(decoded.warnings) == 1
    assert np.asarray(decoded.image).max() == 0


def test_a_vae_that_asks_for_float32_gets_it_without_a_warning(vae: AutoencoderKL) -> None:
    vae.register_to_config(force_upcast=True)
    decoded = decode(vae, latents(), seed=7)
    assert decoded.warnings == ()
    assert np.asarray(decoded.image).std() > 10
    assert next(vae.parameters()).dtype is torch.float16


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_latents_that_are_not_finite_are_refused(vae: AutoencoderKL, value: float) -> None:
    broken = latents()
    broken[0, 0, 0, 0] = value
    with pytest.raises(ImageNotFinite, match="latents"):
        decode(vae, broken, seed=7)


def test_the_warning_is_in_the_result(folder: Path, outputs: OutputFolder) -> None:
    engine = Engine(HALF, Budgets(10**12, 0))
    result = engine.run(request_of(folder, steps=1, num_images=2), outputs, ignore)
    assert len(result.warnings) == 1
    assert "again in float32" in result.warnings[0]
    assert engine.describe()["models"][0]["ram"] == 0
