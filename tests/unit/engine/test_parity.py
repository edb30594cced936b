"""The oracle: plain `diffusers.StableDiffusionXLPipeline`, with its own text encoding and loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from ecurie.catalog.schedulers import SCHEDULERS
from ecurie.engine.engine import Engine
from ecurie.images.files import OutputFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import ignore, make_request

# Written down apart from the product's table, from diffusers' documentation of each name.
ORACLES: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("EulerDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler-trailing": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "lms-karras": ("LMSDiscreteScheduler", {"use_karras_sigmas": True}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2-karras": ("KDPM2DiscreteScheduler", {"use_karras_sigmas": True}),
    "dpm2-a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpm2-a-karras": ("KDPM2AncestralDiscreteScheduler", {"use_karras_sigmas": True}),
    "dpmpp-2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp-2m-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpmpp-2m-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp-2m-sde-karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
    ),
    "dpmpp-sde": ("DPMSolverSDEScheduler", {"noise_sampler_seed": 7}),
    "dpmpp-sde-karras": ("DPMSolverSDEScheduler", {"noise_sampler_seed": 7, "use_karras_sigmas": True}),
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}


@pytest.fixture(scope="module")
def oracle() -> StableDiffusionXLPipeline:
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        DEMO_FOLDER, torch_dtype=torch.float32, add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def plain(oracle: StableDiffusionXLPipeline, scheduler: str, **options: Any) -> np.ndarray:
    kind, changes = ORACLES[scheduler]
    base = StableDiffusionXLPipeline.load_config(DEMO_FOLDER)["scheduler"]
    config = getattr(diffusers, base[1]).load_config(DEMO_FOLDER, subfolder="scheduler")
    oracle.scheduler = getattr(diffusers, kind).from_config(config, **changes)
    image = oracle(
        **{"prompt": "red apple", "num_inference_steps": 6, "guidance_scale": 5.0, "height": 64, "width": 64}
        | options,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    return np.asarray(image).astype(int)


def ours(engine: Engine, outputs: OutputFolder, **fields: Any) -> np.ndarray:
    request = make_request(**({"steps": 6, "guidance_scale": 5.0, "negative_prompt": ""} | fields))
    result = engine.run(request, outputs, ignore)
    return np.asarray(Image.open(outputs.folder / result.images[0].filename)).astype(int)


def test_every_listed_scheduler_has_an_oracle() -> None:
    assert {entry.id for entry in SCHEDULERS} == ORACLES.keys()


@pytest.mark.parametrize("scheduler", ORACLES)
def test_a_picture_equals_plain_diffusers(
    scheduler: str, oracle: StableDiffusionXLPipeline, engine: Engine, outputs: OutputFolder
) -> None:
    difference = ours(engine, outputs, scheduler=scheduler) - plain(oracle, scheduler)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"negative_prompt": "blurry, low quality"}, {"negative_prompt": "blurry, low quality"}),
        ({"guidance_scale": 1.0}, {"guidance_scale": 1.0}),
        ({"clip_skip": 1}, {"clip_skip": None}),
        ({"clip_skip": 3}, {"clip_skip": 1}),
        ({"width": 96, "height": 72}, {"width": 96, "height": 72}),
        ({"steps": 1}, {"num_inference_steps": 1}),
        ({"prompt": "a, b. c; it's 10% 猫 🍎"}, {"prompt": "a, b. c; it's 10% 猫 🍎"}),
    ],
)
def test_the_other_fields_mean_what_diffusers_means(
    fields: dict[str, Any],
    options: dict[str, Any],
    oracle: StableDiffusionXLPipeline,
    engine: Engine,
    outputs: OutputFolder,
) -> None:
    difference = ours(engine, outputs, **fields) - plain(oracle, "default", **options)
    assert np.abs(difference).max() <= 1


def test_the_oracle_tells_pictures_apart(
    oracle: StableDiffusionXLPipeline, engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    """The comparison would fail if the prompt, the guidance or the scheduler were ignored."""
    reference = ours(engine, outputs)
    for scheduler, options in (
        ("euler-a", {}),
        ("default", {"prompt": "rocket"}),
        ("default", {"guidance_scale": 9.0}),
    ):
        assert np.abs(reference - plain(oracle, scheduler, **options)).max() > 10
