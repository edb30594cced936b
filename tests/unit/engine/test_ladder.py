"""Out-of-memory errors at load, in a UNet step and in decoding: the job succeeds lower down, the next is
unharmed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.autoencoders.vae import Decoder
from PIL import Image

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import GenerationRequest, JobResult
from ecurie.engine import engine as recipe
from ecurie.engine import ladder, prompts, residency
from ecurie.engine.devices import Compute, is_out_of_memory
from ecurie.engine.engine import Engine
from ecurie.engine.ladder import first_step
from ecurie.engine.loader import load_model
from ecurie.engine.memory import Step
from ecurie.engine.prompt_cache import PromptCache
from ecurie.engine.residency import Budgets
from ecurie.errors import InvalidRequest, OutOfMemory
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.requests.body import GenerateBody
from ecurie.requests.resolve import resolve
from tests.unit.adapters import files
from tests.unit.conftest import ignore, make_request
from tests.unit.engine.test_memory import sdxl

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] DefaultCPUAllocator: not enough memory: you tried"),
    MemoryError(),
]
Ask = Callable[..., GenerationRequest]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Requests with a stack that changes the UNet and the text encoders."""
    models = tmp_path_factory.mktemp("models")
    (models / "adapters").mkdir()
    places = files.attention_places()
    files.save(models / "adapters" / "own.safetensors", files.kohya_tensors(places, seed=5))
    catalog = Catalog(BUILTIN["demo"], models)

    def make(**fields: Any) -> GenerationRequest:
        loras = [{"name": "own", "weight": 0.6}, {"name": "style-anime", "weight": 0.9}]
        body = {"prompt": "red apple", "seed": 7, "steps": 3, "loras": loras, **fields}
        return resolve(GenerateBody(**body), catalog, 10**9)

    return make


@pytest.fixture
def engine(compute: Compute) -> Engine:
    return Engine(compute, Budgets(10**12, 0))


def drawn(engine: Engine, folder: Path, request: GenerationRequest) -> tuple[JobResult, list[np.ndarray]]:
    result = engine.run(request, OutputFolder(LocalFolder(folder), "job", datetime.now(UTC)), ignore)
    pictures = []
    for image in result.images:
        with Image.open(folder / image.filename) as picture:
            pictures.append(np.asarray(picture))
    return result, pictures


def failing(work: Callable[..., Any], error: BaseException, at: int) -> Callable[..., Any]:
    """`work`, but for the call of that number, counted from 1; 0: every call."""
    calls = 0

    def wrapped(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if at in (0, calls):
            raise error
        return work(*arguments, **options)

    return wrapped


def inject(patch: pytest.MonkeyPatch, where: str, error: BaseException, at: int) -> None:
    match where:
        case "load":
            patch.setattr(residency, "load_model", failing(load_model, error, at))
        case "unet":
            forward = UNet2DConditionModel.forward
            patch.setattr(UNet2DConditionModel, "forward", failing(forward, error, at))
        case "vae":
            patch.setattr(AutoencoderKL, "decode", failing(AutoencoderKL.decode, error, at))


@pytest.mark.parametrize(
    ("where", "at", "error"),
    [("load", 1, ERRORS[0]), ("unet", 5, ERRORS[1]), ("vae", 2, ERRORS[2]), ("unet", 1, ERRORS[3])],
    ids=["load", "in a step", "decoding", "in the first step"],
)
def test_the_job_is_made_again_one_step_down_with_the_same_bits(
    engine: Engine,
    ask: Ask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    at: int,
    error: BaseException,
) -> None:
    request = ask(num_images=2)
    usual, expected = drawn(engine, tmp_path / "usual", request)
    assert (usual.setup.memory_step, usual.warnings) == ("all-resident", ())
    engine._residency.clear()
    with monkeypatch.context() as patch:
        inject(patch, where, error, at)
        result, pictures = drawn(engine, tmp_path / "again", request)
    assert result.setup.memory_step == "text-to-host"
    assert result.warnings == ("out of memory with all-resident: made again with text-to-host",)
    assert all(map(np.array_equal, pictures, expected))
    assert len(list((tmp_path / "again").iterdir())) == 2
    after, pictures = drawn(engine, tmp_path / "after", request)
    assert (after.setup.memory_step, after.warnings) == ("all-resident", ())
    assert all(map(np.array_equal, pictures, expected))
    assert engine.verify(request).weights_written > 0


BUILDING = "build_conditioning_tensor_for_conjunction"


def test_text_encoders_are_really_dropped_and_read_again(
    engine: Engine, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask()
    _, expected = drawn(engine, tmp_path, request)
    whole = engine.describe()["models"][0]["ram"]
    with monkeypatch.context() as patch:
        inject(patch, "unet", ERRORS[0], 1)
        drawn(engine, tmp_path, request)
    (resident,) = engine._residency._models.values()
    for encoder in resident.model.text_encoders:
        assert {parameter.device.type for parameter in encoder.parameters()} == {"meta"}
    text = resident.need.total("text_encoder", "text_encoder_2")
    assert engine.describe()["models"][0]["ram"] == whole - text
    monkeypatch.setattr(engine, "_prompts", PromptCache())
    result, pictures = drawn(engine, tmp_path, request)
    assert result.setup.memory_step == "all-resident"
    assert np.array_equal(pictures[0], expected[0])
    assert result.report.weights_written > 0


def test_decoding_that_is_too_large_whole_is_done_in_tiles(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that really has no room for more than a tile, so that two steps are needed."""
    request = make_request(width=128, height=96, steps=6)
    _, (expected,) = drawn(engine, tmp_path, request)
    forward, sizes = Decoder.forward, set()

    def small_only(self: Decoder, latents: torch.Tensor, *arguments: Any) -> torch.Tensor:
        if max(latents.shape[-2:]) > request.width // 8:
            raise torch.OutOfMemoryError("too large")
        sizes.add(tuple(latents.shape[-2:]))
        return forward(self, latents, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "forward", small_only)
        result, (tiled,) = drawn(engine, tmp_path, request)
    assert max(sizes) == (8, 8)
    assert result.setup.memory_step == "vae-tiled"
    assert len(result.warnings) == 2
    assert tiled.shape == expected.shape
    assert np.abs(tiled.astype(int) - expected).mean() < 6 < expected.std()
    after, (again,) = drawn(engine, tmp_path, request)
    assert after.setup.memory_step == "all-resident"
    assert np.array_equal(again, expected)


def test_the_whole_recipe_runs_layer_by_layer(
    engine: Engine, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU, which is its own host; the same bits as with whole parts, both decoded in tiles."""
    pictures = []
    for step in (Step.VAE_TILED, Step.SEQUENTIAL_OFFLOAD, Step.VAE_TILED):
        monkeypatch.setattr(recipe, "first_step", lambda *_arguments, step=step: step)
        result, (picture,) = drawn(engine, tmp_path, ask())
        assert result.setup.memory_step == step.label
        pictures.append(picture)
    assert np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], pictures[2])
    assert engine.verify(ask()).weights_written > 0


def test_the_end_of_the_ladder_is_a_clear_failure_and_harms_nothing(
    engine: Engine, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask()
    _, expected = drawn(engine, tmp_path / "before", request)
    with monkeypatch.context() as patch:
        inject(patch, "vae", ERRORS[0], 0)
        with pytest.raises(OutOfMemory, match="vae-tiled") as caught:
            drawn(engine, tmp_path / "failed", request)
    assert "smaller size" in (caught.value.remedy or "")
    assert not (tmp_path / "failed").exists()
    result, pictures = drawn(engine, tmp_path / "after", request)
    assert result.setup.memory_step == "all-resident"
    assert np.array_equal(pictures[0], expected[0])


def test_another_error_is_not_taken_for_a_full_memory(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    inject(monkeypatch, "unet", RuntimeError("shapes do not match"), 1)
    with pytest.raises(RuntimeError, match="shapes"):
        drawn(engine, tmp_path, make_request())


def test_a_full_memory_while_encoding_is_not_a_wrong_prompt(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(prompts.Compel, BUILDING, failing(getattr(prompts.Compel, BUILDING), ERRORS[1], 1))
        result, _ = drawn(engine, tmp_path, make_request())
    assert result.setup.memory_step == "text-to-host"
    broken = failing(getattr(prompts.Compel, BUILDING), IndexError(), 1)
    monkeypatch.setattr(prompts.Compel, BUILDING, broken)
    with pytest.raises(InvalidRequest):
        drawn(engine, tmp_path, make_request(prompt="green pear"))


def test_an_accelerator_starts_with_the_plan_for_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Compute(torch.device("cuda"), torch.float16)
    monkeypatch.setattr(ladder, "free_vram", lambda _device: 16 * 10**9)
    assert first_step(cuda, 10**12, sdxl(), 1024, 1024) is Step.ALL_RESIDENT
    assert first_step(cuda, 8 * 10**9, sdxl(), 1024, 1024) is Step.VAE_TILED
    with pytest.raises(OutOfMemory, match=r"1024×1024 .* 1\.0 GB"):
        first_step(cuda, 10**9, sdxl(), 1024, 1024)


def test_a_cpu_decodes_in_tiles_what_would_not_fit_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = Compute(torch.device("cpu"), torch.float32)
    for free, side, step in (
        (8 * 10**9, 1024, Step.ALL_RESIDENT),
        (8 * 10**9, 2048, Step.VAE_TILED),
        (32 * 10**9, 2048, Step.ALL_RESIDENT),
    ):
        monkeypatch.setattr(ladder, "free_ram", lambda free=free: free)
        assert first_step(cpu, 0, sdxl(), side, side) is step
