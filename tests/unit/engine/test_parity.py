"""The oracle: plain `diffusers.StableDiffusionXLPipeline`, with its own text encoding and loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from bench.parity import ORACLES, scheduler_of
from ecurie.catalog.schedulers import SCHEDULERS
from ecurie.engine.engine import Engine
from ecurie.images.files import OutputFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import ignore, make_request


@pytest.fixture(scope="module")
def oracle() -> StableDiffusionXLPipeline:
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        DEMO_FOLDER, torch_dtype=torch.float32, add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def plain(
    oracle: StableDiffusionXLPipeline, scheduler: str, schedule: dict[str, Any] | None = None, **options: Any
) -> np.ndarray:
    oracle.scheduler = scheduler_of(scheduler, **(schedule or {}))
    image = oracle(
        **{"prompt": "red apple", "num_inference_steps": 4, "guidance_scale": 5.0, "height": 64, "width": 64}
        | options,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    return np.asarray(image).astype(int)


def ours(engine: Engine, outputs: OutputFolder, **fields: Any) -> np.ndarray:
    request = make_request(**({"steps": 4, "guidance_scale": 5.0, "negative_prompt": ""} | fields))
    result = engine.run(request, outputs, ignore)
    return np.asarray(Image.open(outputs.storage.folder / result.images[0].filename)).astype(int)


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


V_PREDICTION = {"prediction_type": "v_prediction"}
ZERO_SNR = V_PREDICTION | {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@pytest.mark.parametrize(
    ("fields", "schedule", "options"),
    [
        ({"prediction_type": "v_prediction"}, V_PREDICTION, {}),
        ({"prediction_type": "v_prediction", "zero_snr": True}, ZERO_SNR, {"guidance_rescale": 0.7}),
        (
            {"prediction_type": "v_prediction", "zero_snr": True, "guidance_rescale": 0.2},
            ZERO_SNR,
            {"guidance_rescale": 0.2},
        ),
        ({"guidance_rescale": 0.5}, {}, {"guidance_rescale": 0.5}),
    ],
)
def test_what_the_unet_predicts_can_be_set_by_the_request(
    fields: dict[str, Any],
    schedule: dict[str, Any],
    options: dict[str, Any],
    oracle: StableDiffusionXLPipeline,
    engine: Engine,
    outputs: OutputFolder,
) -> None:
    got = ours(engine, outputs, **fields)
    assert np.abs(got - plain(oracle, "default", schedule, **options)).max() <= 1
    assert np.abs(got - plain(oracle, "default")).max() > 10


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
