"""On an NVIDIA GPU, with the demo models: `python -m pytest tests/gpu`. Elsewhere they are skipped."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from bench.parity import scheduler_of
from ecurie.domain import JobResult
from ecurie.engine import engine as engine_module
from ecurie.engine import prompts
from ecurie.engine.devices import Compute, choose_compute
from ecurie.engine.engine import Engine
from ecurie.engine.loader import load_model
from ecurie.engine.memory import Step
from ecurie.engine.placement import Placement
from ecurie.engine.residency import Budgets
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import ignore, make_picture_request, make_request, request_of
from tests.unit.ip_adapters import PLAIN, catalog_with, request_with, save_plus

SCHEDULERS = ("euler", "euler-a", "ddim", "dpmpp-2m-karras", "dpmpp-2m-sde", "unipc")
PLENTY = Budgets(10**12, 10**12)
LORAS = [{"name": "style-anime", "weight": 0.7}, {"name": "character-detailed", "weight": 0.4}]


@pytest.fixture(scope="session")
def engine(cuda: Compute) -> Engine:
    return Engine(cuda, PLENTY)


def draw(engine: Engine, folder: Path, request: Any = None, **fields: Any) -> tuple[JobResult, np.ndarray]:
    outputs = OutputFolder(LocalFolder(folder), "job", datetime.now(UTC), "picture.png")
    result = engine.run(request or make_request(**fields), outputs, ignore)
    with Image.open(folder / "picture.png") as picture:
        return result, np.asarray(picture.convert("RGB")).astype(int)


def test_every_weight_arrives_as_it_is_in_the_file(cuda: Compute) -> None:
    checkpoint = read_checkpoint(ModelFiles(DEMO_FOLDER))
    there, here = load_model(checkpoint, cuda), load_model(checkpoint, cuda.at_host)
    assert not there.patcher.drifted()
    for one, other in ((there.vae, here.vae), (there.unet, here.unet)):
        for name, tensor in one.state_dict().items():
            assert tensor.device.type == "cuda"
            assert torch.equal(tensor.cpu(), other.state_dict()[name])


@pytest.mark.parametrize(
    "scheduler", ["euler", "euler-a", "ddim", "dpmpp-2m-karras", "dpmpp-2m-sde", "unipc"]
)
def test_a_picture_equals_plain_diffusers(
    scheduler: str, cuda: Compute, engine: Engine, tmp_path: Path
) -> None:
    """From the same prompt embeds and noise: in half precision, prompts encoded one by one and two at once
    differ by a rounding, and some versions of torch draw other numbers."""
    _, ours = draw(engine, tmp_path, scheduler=scheduler, steps=8, guidance_scale=5.0, negative_prompt="")
    model = load_model(read_checkpoint(ModelFiles(DEMO_FOLDER)), cuda)
    given = prompts.encode(model, "red apple", "", clip_skip=2)
    oracle = StableDiffusionXLPipeline.from_pretrained(
        DEMO_FOLDER, torch_dtype=torch.float16, add_watermarker=False
    ).to("cuda")
    oracle.set_progress_bar_config(disable=True)
    oracle.scheduler = scheduler_of(scheduler)
    generator = torch.Generator("cpu").manual_seed(7)
    noise = torch.randn((1, 4, 16, 16), generator=generator)
    plain = oracle(
        prompt_embeds=given.embeds,
        pooled_prompt_embeds=given.pooled,
        negative_prompt_embeds=given.negative_embeds,
        negative_pooled_prompt_embeds=given.negative_pooled,
        num_inference_steps=8,
        guidance_scale=5.0,
        height=64,
        width=64,
        latents=noise.to("cuda", torch.float16),
        generator=generator,
    ).images[0]
    assert np.abs(ours - np.asarray(plain).astype(int)).max() <= 1


def test_the_same_seed_draws_almost_the_same_as_on_the_cpu(engine: Engine, tmp_path: Path) -> None:
    host = Engine(choose_compute("cpu"), PLENTY)
    request = make_request(steps=20, loras=LORAS)
    _, there = draw(engine, tmp_path, request)
    _, here = draw(host, tmp_path, request)
    assert np.abs(there - here).mean() < 2


def test_a_stack_leaves_nothing_behind(engine: Engine, tmp_path: Path) -> None:
    _, before = draw(engine, tmp_path)
    _, patched = draw(engine, tmp_path, loras=LORAS, inject_triggers=False)
    _, other_order = draw(engine, tmp_path, loras=LORAS[::-1], inject_triggers=False)
    _, after = draw(engine, tmp_path)
    draw(engine, tmp_path, loras=[{"name": "cyberpunk-style", "weight": 1.0}])
    _, from_another = draw(engine, tmp_path, loras=LORAS, inject_triggers=False)
    assert (patched == from_another).all()
    assert (patched == other_order).all()
    assert (patched != before).any()
    assert (after == before).all()
    engine.verify(make_request(loras=LORAS))


@pytest.mark.parametrize("step", list(Step)[1:])
def test_every_step_of_the_ladder_draws_the_same(
    step: Step, cuda: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tiles a picture differs where they are blended, so those are compared with each other. A UNet that
    rests at the host is patched there, where sums may round the other way."""
    plain, patched = [], []
    for used in (Step.VAE_TILED if step >= Step.VAE_TILED else Step.ALL_RESIDENT, step):
        monkeypatch.setattr(engine_module, "first_step", lambda *_, used=used: used)
        engine = Engine(cuda, PLENTY)
        plain.append(draw(engine, tmp_path)[1])
        patched.append(draw(engine, tmp_path, loras=LORAS)[1])
        engine.verify(make_request(loras=LORAS))
        plain.append(draw(engine, tmp_path)[1])
    assert all(np.abs(picture - plain[0]).max() <= 1 for picture in plain)
    assert np.abs(patched[1] - patched[0]).mean() < 1


def test_a_model_takes_over_the_memory_of_the_one_that_leaves(cuda: Compute, tmp_path: Path) -> None:
    other = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "other"))
    weights = other / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({key: tensor * 0.9 for key, tensor in load_file(weights).items()}, weights)
    alone = Engine(cuda, Budgets(10**12, 10**12, models=1))
    pictures: dict[Path, np.ndarray] = {}
    for folder in (DEMO_FOLDER, other) * 2:
        _, picture = draw(alone, tmp_path, request_of(folder, loras=LORAS[:1]))
        assert (pictures.setdefault(folder, picture) == picture).all()
    assert (pictures[DEMO_FOLDER] != pictures[other]).any()


def test_a_part_that_rests_at_the_host_is_copied_one_way_only(cuda: Compute) -> None:
    model = load_model(read_checkpoint(ModelFiles(DEMO_FOLDER)), cuda.at_host)
    before = [parameter.data_ptr() for parameter in model.unet.parameters()]
    placement = Placement(model, cuda, Step.MODEL_OFFLOAD)
    with placement.at_work("unet"):
        assert {parameter.device.type for parameter in model.unet.parameters()} == {"cuda"}
    assert [parameter.data_ptr() for parameter in model.unet.parameters()] == before
    assert {tensor.device.type for tensor in model.unet.state_dict().values()} == {"cpu"}


def test_pictures_from_pictures(engine: Engine, tmp_path: Path) -> None:
    start = tmp_path / "start.png"
    Image.fromarray(draw(engine, tmp_path)[1].astype(np.uint8)).save(start)
    mask = tmp_path / "mask.png"
    Image.new("L", (64, 64), 255).save(mask)
    for fields in ({}, {"mask": mask}):
        request = make_picture_request(init_image=start, strength=0.5, **fields)
        result, picture = draw(engine, tmp_path, request)
        assert not result.warnings
        assert picture.std() > 5
    result, picture = draw(engine, tmp_path, hires={"scale": 2, "steps": 4, "strength": 0.5})
    assert picture.shape == (128, 128, 3)


@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_pictures_from_references(kind: str, engine: Engine, tmp_path: Path) -> None:
    file = PLAIN if kind == "plain" else save_plus(tmp_path / "plus.safetensors")
    catalog = catalog_with(tmp_path, **{kind: file})
    host = Engine(choose_compute("cpu"), PLENTY)
    request = request_with(catalog, "red-apple", ip_strength=0.7, steps=20)
    _, there = draw(engine, tmp_path, request)
    _, here = draw(host, tmp_path, request)
    _, without = draw(engine, tmp_path, request_with(catalog, ip_strength=0, steps=20))
    assert np.abs(there - here).mean() < 2 < np.abs(there - without).mean()
