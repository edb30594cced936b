"""The plan of the memory ladder, for full SDXL."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import torch

import ecurie
from ecurie.engine.memory import Step, lower, peak, plan
from ecurie.engine.modules import empty_module
from ecurie.engine.need import ModelNeed, PartNeed, need_of
from ecurie.formats.diffusers_folder import WEIGHT_STEMS, tensors_of
from tests.conftest import DEMO_FOLDER

ALL, TEXT, TILED, OFFLOAD, SEQUENTIAL = Step
CONFIGS = Path(ecurie.__file__).parent / "sdxl"


@cache
def sdxl() -> ModelNeed:
    """Full SDXL in float16, from the configurations that are shipped."""
    parts, largest = {}, 0
    for name in WEIGHT_STEMS:
        module = empty_module(name, json.loads((CONFIGS / name / "config.json").read_text()))
        sizes = [2 * parameter.numel() for parameter in module.parameters()]
        parts[name], largest = PartNeed(sum(sizes), 0), max(largest, *sizes)
    return ModelNeed(parts, largest, 2)


def test_full_sdxl_has_the_size_that_its_files_have() -> None:
    """The published half-precision files: 5.135, 0.167, 0.246 and 1.389 GB."""
    sizes = {name: round(part.total / 1e9, 3) for name, part in sdxl().parts.items()}
    assert sizes == {"unet": 5.135, "vae": 0.167, "text_encoder": 0.246, "text_encoder_2": 1.389}


@pytest.mark.parametrize(
    ("gigabytes", "side", "step"),
    [
        (6, 1024, OFFLOAD),
        (8, 1024, TILED),
        (11, 1024, TEXT),
        (16, 1024, ALL),
        (24, 1024, ALL),
        (80, 1024, ALL),
        (6, 2048, SEQUENTIAL),
        (8, 2048, TILED),
        (11, 2048, TILED),
        (16, 2048, TILED),
        (24, 2048, ALL),
        (80, 2048, ALL),
        (1, 1024, None),
        (4, 2048, SEQUENTIAL),
    ],
)
def test_the_plan_for_full_sdxl(gigabytes: int, side: int, step: Step | None) -> None:
    assert plan(gigabytes * 10**9, sdxl(), side, side) == step


def test_more_memory_or_fewer_pixels_never_plan_a_lower_step() -> None:
    last = len(Step)
    for side in (512, 1024, 1536, 2048):
        steps = [plan(free * 10**8, sdxl(), side, side) for free in range(10, 400, 5)]
        ranks = [last if step is None else step for step in steps]
        assert ranks == sorted(ranks, reverse=True)
    for free in range(10, 400, 25):
        found = [plan(free * 10**8, sdxl(), side, side) for side in range(512, 2049, 128)]
        ranks = [last if step is None else step for step in found]
        assert ranks == sorted(ranks)


@pytest.mark.parametrize(("value_bytes", "measured"), [(2, 21.7), (4, 28.0)])
def test_four_images_at_once_need_about_what_diffusers_measured(value_bytes: int, measured: float) -> None:
    """On an A100, 1024² (https://hf.co/blog/simple_sdxl_optimizations)."""
    parts = {name: PartNeed(part.total * value_bytes // 2, 0) for name, part in sdxl().parts.items()}
    need = ModelNeed(parts, sdxl().largest, value_bytes)
    assert peak(ALL, need, 4 * 1024**2) / 1e9 == pytest.approx(measured, rel=0.1)


def test_each_step_needs_no_more_than_the_one_before() -> None:
    peaks = [peak(step, sdxl(), 1024**2) for step in Step]
    assert peaks == sorted(peaks, reverse=True)


@pytest.mark.parametrize(("on_cpu", "steps"), [(True, [ALL, TEXT, TILED]), (False, list(Step))])
def test_the_ladder_ends(on_cpu: bool, steps: list[Step]) -> None:
    found: list[Step] = []
    step: Step | None = ALL
    while step is not None:
        found.append(step)
        step = lower(step, on_cpu)
    assert found == steps


@pytest.mark.parametrize(("dtype", "copied"), [(torch.float32, True), (torch.float16, False)])
def test_what_is_stored_in_the_compute_dtype_is_not_copied(dtype: torch.dtype, copied: bool) -> None:
    need = need_of({name: tensors_of(DEMO_FOLDER, name) for name in WEIGHT_STEMS}, dtype)
    stored = sum(file.stat().st_size for file in DEMO_FOLDER.rglob("*.safetensors"))
    assert need.total() == pytest.approx(stored * dtype.itemsize / 2, rel=0.02)
    assert need.copied == (need.total() if copied else 0)
