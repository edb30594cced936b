"""A prompt that was encoded before, by the same text encoders, is not encoded again."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from ecurie.domain import AdapterUse, GenerationRequest, JobResult
from ecurie.engine import engine as recipe
from ecurie.engine import placement
from ecurie.engine.devices import Compute
from ecurie.engine.engine import Engine
from ecurie.engine.memory import TEXT_ENCODERS, Step
from ecurie.engine.prompt_cache import PromptCache
from ecurie.engine.prompts import Conditioning
from ecurie.engine.residency import Budgets
from ecurie.formats.hashes import sha256_of
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from tests.unit.adapters import files
from tests.unit.conftest import ignore, make_request


class Runs:
    """Runs requests in an engine of its own, and counts the passes through its text encoders."""

    def __init__(self, compute: Compute, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.engine = Engine(compute, Budgets(10**12, 0, models=1))
        self.passes, self._folder, self._jobs = 0, folder, iter(range(99))
        original = recipe.prompts.encode

        def counted(*arguments: Any) -> Conditioning:
            self.passes += 1
            return original(*arguments)

        monkeypatch.setattr(recipe.prompts, "encode", counted)

    def __call__(self, request: GenerationRequest) -> tuple[JobResult, bytes]:
        outputs = OutputFolder(
            LocalFolder(self._folder), f"job{next(self._jobs)}", datetime(2026, 1, 2, tzinfo=UTC)
        )
        result = self.engine.run(request, outputs, ignore)
        return result, (self._folder / result.images[0].filename).read_bytes()


@pytest.fixture
def runs(compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(compute, tmp_path / "outputs", monkeypatch)


def adapter(folder: Path, part: str, seed: int) -> AdapterUse:
    """One that changes a part alone, at weight 1."""
    places = [place for place in files.attention_places() if place[0] == part][:3]
    assert places
    tensors = files.kohya_tensors(places, seed=seed)
    file = files.save(folder / f"{part}-{seed}.safetensors", tensors)
    return AdapterUse(file.stem, str(file), sha256_of(file), "", unet=1.0, text_encoder=1.0)


def with_stack(*uses: AdapterUse, **fields: Any) -> GenerationRequest:
    return dataclasses.replace(make_request(**({"steps": 2} | fields)), adapters=uses)


def test_a_hit_is_bit_for_bit_the_same_and_runs_no_text_encoder(runs: Runs) -> None:
    first, expected = runs(with_stack())
    again, got = runs(with_stack())
    assert (first.report.prompt_cached, again.report.prompt_cached) == (False, True)
    assert runs.passes == 1
    assert got == expected
    assert again.timings.encode < first.timings.encode


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "green pear"},
        {"negative_prompt": "dull"},
        {"clip_skip": 3},
        {"prompt": "(red) apple"},
    ],
)
def test_whatever_changes_the_embeds_is_encoded(runs: Runs, fields: dict[str, Any]) -> None:
    runs(with_stack())
    result, _ = runs(with_stack(**fields))
    assert not result.report.prompt_cached


def test_the_syntax_counts(runs: Runs) -> None:
    request = with_stack(prompt="(red) apple")
    runs(request)
    result, _ = runs(dataclasses.replace(request, prompt_syntax="compel"))
    assert request.prompt_syntax == "a1111"
    assert not result.report.prompt_cached


def test_only_adapters_that_touch_the_text_encoders_count(runs: Runs, tmp_path: Path) -> None:
    unet, other = adapter(tmp_path, "unet", 1), adapter(tmp_path, "unet", 2)
    text = adapter(tmp_path, "text_encoder", 3)
    stacks: list[tuple[tuple[AdapterUse, ...], bool]] = [
        ((), False),
        ((unet,), True),
        ((other,), True),
        ((text, unet), False),
        ((other, text), True),
        ((dataclasses.replace(text, text_encoder=0.5),), False),
        ((dataclasses.replace(text, text_encoder=0.0), unet), True),
        ((), True),
    ]
    pictures: dict[tuple[AdapterUse, ...], bytes] = {}
    for uses, cached in stacks:
        result, pictures[uses] = runs(with_stack(*uses))
        assert result.report.prompt_cached is cached, uses
    # Each is the picture that an engine with an empty memory makes.
    runs.engine._prompts = PromptCache()
    for uses in ((other, text), (unet,)):
        result, picture = runs(with_stack(*uses))
        assert not result.report.prompt_cached
        assert picture == pictures[uses]


def test_a_unet_adapter_leaves_the_patched_text_encoders_alone(runs: Runs, tmp_path: Path) -> None:
    text, unet = adapter(tmp_path, "text_encoder", 3), adapter(tmp_path, "unet", 1)
    first, _ = runs(with_stack(text))
    second, _ = runs(with_stack(text, unet))
    assert first.report.weights_written > 0
    assert second.report.weights_written == 3
    assert runs(with_stack(text, unet))[0].report.weights_written == 0


def test_resting_text_encoders_are_not_brought_to_work(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With less memory they rest elsewhere: on a CPU they are dropped."""
    monkeypatch.setattr(recipe, "first_step", lambda *_arguments: Step.TEXT_TO_HOST)
    uses = adapter(tmp_path, "text_encoder", 3), adapter(tmp_path, "unet", 1)
    _, expected = runs(with_stack(*uses))
    brought: list[str] = []
    original = placement.Placement._bring

    def bring(self: Any, name: str) -> None:
        brought.append(name)
        original(self, name)

    monkeypatch.setattr(placement.Placement, "_bring", bring)
    result, got = runs(with_stack(*uses))
    assert result.report.prompt_cached
    assert got == expected
    assert not set(TEXT_ENCODERS) & set(brought)
    assert runs(with_stack(*uses, prompt="green pear"))[0].report.prompt_cached is False
    assert set(TEXT_ENCODERS) <= set(brought)


def test_the_cache_is_bounded_by_bytes() -> None:
    def made(value: float) -> Conditioning:
        return Conditioning(*(torch.full((1, 25), value) for _ in range(4)))

    cpu = torch.device("cpu")
    cache = PromptCache(kept_bytes=900)
    for key in "ab":
        cache.keep(key, made(float(ord(key))))
    assert cache.find("a", cpu) is not None
    cache.keep("c", made(1.0))
    assert cache.find("b", cpu) is None, "the one used longest ago leaves"
    kept = cache.find("a", cpu)
    assert kept is not None
    assert torch.equal(kept.embeds, made(97.0).embeds)
