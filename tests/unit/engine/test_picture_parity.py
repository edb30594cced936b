"""The oracle for pictures that start from others: diffusers' image-to-image and inpainting pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image, ImageDraw

from bench.parity import ORACLES, scheduler_of
from ecurie.engine.engine import Engine
from ecurie.images.files import OutputFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import make_picture_request

APPLE = Path(__file__).parents[2] / "data" / "emoji" / "red-apple.png"
COMMON: dict[str, Any] = {"prompt": "red apple", "guidance_scale": 5.0}
SEVERAL = ["default", "euler-a", "heun", "dpm2-a-karras", "dpmpp-2m-sde", "dpmpp-sde", "pndm", "lcm", "unipc"]


@pytest.fixture(scope="module")
def text() -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline.from_pretrained(
        DEMO_FOLDER, torch_dtype=torch.float32, add_watermarker=False
    )


def plain(kind: Any, text: StableDiffusionXLPipeline, scheduler: str, **options: Any) -> Any:
    """What a pipeline of the same parts makes; `generator` is of seed 7 if not told otherwise."""
    pipeline = kind(**text.components | {"scheduler": scheduler_of(scheduler)}, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(**{"generator": torch.Generator("cpu").manual_seed(7)} | COMMON | options).images


def ours(engine: Engine, outputs: OutputFolder, **fields: Any) -> Image.Image:
    request = make_picture_request(**COMMON | {"negative_prompt": ""} | fields)
    (image,) = engine.run(request, outputs, lambda _progress: None).images
    return opened(outputs.storage.folder / image.filename)


def opened(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        picture.load()
        return picture


def furthest(one: Image.Image, other: Image.Image) -> int:
    assert one.size == other.size
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max())


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """White in the middle, over edges of latents' pixels."""
    picture = Image.new("L", (64, 64))
    ImageDraw.Draw(picture).ellipse((12, 20, 50, 60), fill="white")
    picture.save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


@pytest.mark.parametrize("scheduler", ORACLES)
def test_a_picture_from_a_picture_equals_plain_diffusers(
    scheduler: str, text: StableDiffusionXLPipeline, engine: Engine, outputs: OutputFolder
) -> None:
    got = ours(engine, outputs, init_image=APPLE, scheduler=scheduler, steps=3, strength=0.7)
    kind = StableDiffusionXLImg2ImgPipeline
    options = {"image": opened(APPLE), "num_inference_steps": 3, "strength": 0.7}
    assert furthest(got, plain(kind, text, scheduler, **options)[0]) <= 1


@pytest.mark.parametrize(("steps", "strength"), [(3, 1.0), (10, 0.7), (3, 0.34)])
def test_the_strength_means_what_diffusers_means(
    steps: int, strength: float, text: StableDiffusionXLPipeline, engine: Engine, outputs: OutputFolder
) -> None:
    got = ours(engine, outputs, init_image=APPLE, steps=steps, strength=strength)
    options = {"image": opened(APPLE), "num_inference_steps": steps, "strength": strength}
    expected = plain(StableDiffusionXLImg2ImgPipeline, text, "default", **options)[0]
    assert furthest(got, expected) <= 1
    assert furthest(got, opened(APPLE)) > 10


@pytest.mark.parametrize(
    ("scheduler", "strength"), [*((name, 0.6) for name in SEVERAL), ("default", 1.0), ("euler-a", 1.0)]
)
def test_inpainting_equals_plain_diffusers(
    scheduler: str,
    strength: float,
    text: StableDiffusionXLPipeline,
    engine: Engine,
    outputs: OutputFolder,
    mask: Path,
) -> None:
    """diffusers' own overlay puts the unmasked pixels back, as its documentation advises."""
    steps = {"scheduler": scheduler, "steps": 4, "strength": strength}
    got = ours(engine, outputs, init_image=APPLE, mask=mask, mask_blur=3.0, **steps)
    before, soft = opened(APPLE), diffusers.image_processor.VaeImageProcessor.blur(opened(mask), 3)
    options = {"image": before, "mask_image": soft, "num_inference_steps": 4, "strength": strength}
    size = {"width": 64, "height": 64}
    drawn = plain(StableDiffusionXLInpaintPipeline, text, scheduler, **options, **size)[0]
    expected = diffusers.image_processor.VaeImageProcessor().apply_overlay(soft, before, drawn)
    assert furthest(got, expected) <= 1
    assert furthest(got, before) > 10


def test_what_is_not_masked_stays_to_the_bit(engine: Engine, outputs: OutputFolder, mask: Path) -> None:
    got = ours(engine, outputs, init_image=APPLE, mask=mask, mask_blur=0.0, steps=3, strength=1.0)
    kept = np.asarray(opened(mask)) == 0
    before = np.asarray(opened(APPLE))
    assert kept.any()
    assert (np.asarray(got)[kept] == before[kept]).all()
    assert (np.asarray(got)[~kept] != before[~kept]).any()


@pytest.mark.parametrize("scheduler", ["default", "euler-a", "dpmpp-sde"])
@pytest.mark.parametrize("upscaler", ["lanczos", "latent"])
def test_hires_equals_the_same_made_of_plain_pipelines(
    scheduler: str, upscaler: str, text: StableDiffusionXLPipeline, engine: Engine, outputs: OutputFolder
) -> None:
    hires = {"scale": 1.5, "steps": 4, "strength": 0.5, "upscaler": upscaler}
    got = ours(engine, outputs, steps=3, scheduler=scheduler, hires=hires)
    generator = torch.Generator("cpu").manual_seed(7)
    first = {"num_inference_steps": 3, "width": 64, "height": 64, "generator": generator}
    if upscaler == "latent":
        latents = plain(StableDiffusionXLPipeline, text, scheduler, output_type="latent", **first)
        larger = torch.nn.functional.interpolate(latents, (24, 24), mode="bilinear")
    else:
        (small,) = plain(StableDiffusionXLPipeline, text, scheduler, **first)
        larger = small.resize((96, 96), Image.Resampling.LANCZOS)
    second = {"image": larger, "num_inference_steps": 4, "strength": 0.5, "generator": generator}
    (expected,) = plain(StableDiffusionXLImg2ImgPipeline, text, scheduler, **second)
    assert furthest(got, expected) <= 1
