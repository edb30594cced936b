from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention
from PIL import Image

from ecurie.engine import speedups
from ecurie.engine.engine import Engine
from ecurie.engine.loader import Model
from ecurie.images.files import OutputFolder
from tests.unit.conftest import ignore, make_request

STEPS = 12


@pytest.fixture
def samples(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each call of a UNet gets."""
    seen: list[int] = []
    forward = type(model.unet).forward

    def counted(self: Any, sample: torch.Tensor, *arguments: Any, **options: Any) -> Any:
        seen.append(len(sample))
        return forward(self, sample, *arguments, **options)

    monkeypatch.setattr(type(model.unet), "forward", counted)
    return seen


def drawn(engine: Engine, outputs: OutputFolder, **fields: Any) -> np.ndarray:
    result = engine.run(make_request(steps=STEPS, **fields), outputs, ignore)
    with Image.open(Path(outputs.storage.folder) / result.images[0].filename) as picture:
        return np.asarray(picture).astype(int)


def test_guidance_ends_halfway_and_the_picture_stays_near(
    engine: Engine, outputs: OutputFolder, samples: list[int]
) -> None:
    plain = drawn(engine, outputs)
    assert samples == [2] * STEPS
    samples.clear()
    cut = drawn(engine, outputs, accelerate="guidance-cutoff")
    assert samples == [2] * (STEPS // 2) + [1] * (STEPS // 2)
    assert 0 < np.abs(cut - plain).mean() < 25


def test_a_cut_before_the_first_step_would_be_no_guidance_at_all(
    engine: Engine, outputs: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tensors that go on are the prompt's, not the negative prompt's."""
    monkeypatch.setattr(speedups, "GUIDED_SHARE", 1 / STEPS)
    guided_once = drawn(engine, outputs, accelerate="guidance-cutoff", scheduler="ddim")
    unguided = drawn(engine, outputs, guidance_scale=1.0, scheduler="ddim")
    negative = drawn(engine, outputs, guidance_scale=1.0, scheduler="ddim", prompt="low quality")
    assert np.abs(guided_once - unguided).mean() < np.abs(guided_once - negative).mean()


def test_attention_is_computed_less_often_and_the_unet_is_as_before_after_it(
    engine: Engine, outputs: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[bool] = Counter()
    forward = Attention.forward

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        calls[self.is_cross_attention] += 1
        return forward(self, *arguments, **options)

    monkeypatch.setattr(Attention, "forward", counted)
    plain = drawn(engine, outputs)
    every = dict(calls)
    calls.clear()
    cached = drawn(engine, outputs, accelerate="attention-cache")
    assert calls[True] < calls[False] < every[False]
    assert 0 < np.abs(cached - plain).mean() < 25
    calls.clear()
    assert np.array_equal(drawn(engine, outputs), plain)
    assert dict(calls) == every


def test_an_interrupted_cache_leaves_the_unet_as_before(model: Model) -> None:
    forwards = [module.forward for module in model.unet.modules()]
    with pytest.raises(KeyboardInterrupt), speedups.attention_cached(model.unet, wanted=True):
        raise KeyboardInterrupt
    assert [module.forward for module in model.unet.modules()] == forwards
    assert not model.unet._forward_pre_hooks
