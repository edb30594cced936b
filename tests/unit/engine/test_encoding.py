"""Pictures to latents: diffusers' own numbers, and float32 where half precision overflows."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from ecurie.engine.devices import Compute
from ecurie.engine.encoding import encode
from ecurie.engine.loader import Model
from ecurie.engine.memory import Step
from ecurie.engine.placement import Placement
from ecurie.errors import ImageNotFinite
from tests.conftest import DEMO_FOLDER

APPLE = Path(__file__).parents[2] / "data" / "emoji" / "red-apple.png"


def seeded() -> torch.Generator:
    return torch.Generator("cpu").manual_seed(7)


@pytest.fixture
def apple() -> Image.Image:
    with Image.open(APPLE) as picture:
        return picture.convert("RGB")


@pytest.fixture
def vae() -> AutoencoderKL:
    """In float16, said not to need float32."""
    made = AutoencoderKL.from_pretrained(DEMO_FOLDER / "vae", torch_dtype=torch.float16)
    made.register_to_config(force_upcast=False)
    return made


def reference(vae: AutoencoderKL, picture: Image.Image) -> torch.Tensor:
    pixels = VaeImageProcessor().preprocess(picture)
    with torch.no_grad():
        found: torch.Tensor = vae.float().encode(pixels).latent_dist.sample(seeded())
    return found


def test_the_latents_are_those_of_diffusers(apple: Image.Image, vae: AutoencoderKL) -> None:
    scaled = reference(vae, apple) * vae.config.scaling_factor
    assert torch.equal(encode(vae.float(), apple, seeded()), scaled)


def test_latents_with_a_mean_are_normalized(apple: Image.Image, vae: AutoencoderKL) -> None:
    """As diffusers' image-to-image pipeline does."""
    vae.register_to_config(latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[2.0, 1.0, 0.5, 4.0])
    mean, deviation = (
        torch.tensor(numbers).view(1, 4, 1, 1)
        for numbers in (vae.config.latents_mean, vae.config.latents_std)
    )
    expected = (reference(vae, apple) - mean) * vae.config.scaling_factor / deviation
    assert torch.allclose(encode(vae.float(), apple, seeded()), expected, atol=1e-6)


def test_a_vae_that_asks_for_float32_gets_it(apple: Image.Image, vae: AutoencoderKL) -> None:
    near = encode(vae, apple, seeded())
    vae.register_to_config(force_upcast=True)
    exact = encode(vae, apple, seeded())
    assert exact.dtype == near.dtype == torch.float16
    expected = reference(vae, apple).half() * vae.config.scaling_factor
    assert torch.equal(exact, expected)
    assert not torch.equal(near, expected)


def test_an_overflowing_encoder_is_run_again_in_float32(apple: Image.Image, vae: AutoencoderKL) -> None:
    with torch.no_grad():
        vae.encoder.conv_in.weight.mul_(2000)
        vae.encoder.conv_in.bias.fill_(60_000)
        vae.encoder.conv_in.bias[0] = 65_000
    assert not vae.encode(VaeImageProcessor().preprocess(apple).half()).latent_dist.mean.isfinite().all()
    assert encode(vae, apple, seeded()).isfinite().all()
    assert vae.dtype == torch.float16


def test_a_damaged_encoder_is_told(apple: Image.Image, vae: AutoencoderKL) -> None:
    with torch.no_grad():
        vae.encoder.conv_in.bias.fill_(torch.nan)
    with pytest.raises(ImageNotFinite, match="NaN"):
        encode(vae, apple, seeded())


def test_a_picture_is_encoded_in_tiles_where_memory_is_short(
    apple: Image.Image, model: Model, compute: Compute
) -> None:
    placement = Placement(model, compute, Step.VAE_TILED)
    placement.settle()
    large = apple.resize((128, 128))
    try:
        with mock.patch.object(model.vae.encoder, "forward", wraps=model.vae.encoder.forward) as forward:
            tiled = encode(model.vae, large, seeded())
            widths = {call.args[0].shape[-1] for call in forward.call_args_list}
    finally:
        Placement(model, compute, Step.ALL_RESIDENT).settle()
    whole = encode(model.vae, large, seeded())
    assert max(widths) < 128
    assert tiled.shape == whole.shape
    assert (tiled - whole).abs().mean() < 0.2 * whole.std()
