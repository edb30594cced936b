"""The recipe: progress, seeds, files, and what happens when it is stopped or goes wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import ecurie
from ecurie.catalog.schedulers import SCHEDULERS
from ecurie.domain import Progress
from ecurie.engine.devices import Compute, choose_compute
from ecurie.engine.engine import Engine
from ecurie.engine.loader import Model
from ecurie.engine.residency import Budgets
from ecurie.errors import (
    ImageNotFinite,
    JobCancelled,
    LeaseLost,
    SettingsError,
    WeightsDrifted,
    WeightsInvalid,
    WeightsMissing,
)
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import ignore, make_request


def test_progress_counts_steps_over_all_images(engine: Engine, outputs: OutputFolder) -> None:
    seen: list[Progress] = []
    engine.run(make_request(num_images=2, steps=3), outputs, seen.append)
    phases = ["loading model", "applying adapters", "encoding prompt"]
    assert [progress.phase for progress in seen[:3]] == phases
    assert [progress.step for progress in seen[3:]] == [1, 2, 3, 4, 5, 6]
    assert {progress.total for progress in seen} == {6}


@pytest.mark.parametrize("scheduler", [entry.id for entry in SCHEDULERS])
@pytest.mark.parametrize("steps", [1, 3])
def test_progress_is_in_the_request_s_steps_for_every_scheduler(
    scheduler: str, steps: int, engine: Engine, outputs: OutputFolder
) -> None:
    """Some schedulers take two timesteps a step, and few steps break careless ones."""
    seen: list[int] = []
    request = make_request(scheduler=scheduler, steps=steps)
    engine.run(request, outputs, lambda progress: seen.append(progress.step))
    assert seen == sorted(seen)
    assert seen[-1] == steps


def test_the_same_request_gives_the_same_bytes(engine: Engine, tmp_path: Path) -> None:
    contents = []
    for job in ("one", "two"):
        outputs = OutputFolder(LocalFolder(tmp_path), job, datetime.now(UTC))
        (image,) = engine.run(make_request(), outputs, ignore).images
        contents.append((tmp_path / image.filename).read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("scheduler", ["default", "euler-a", "dpmpp-sde", "dpmpp-2m-sde", "lcm"])
def test_image_k_is_the_image_of_seed_plus_k(scheduler: str, engine: Engine, tmp_path: Path) -> None:
    together = OutputFolder(LocalFolder(tmp_path), "together", datetime.now(UTC))
    alone = OutputFolder(LocalFolder(tmp_path), "alone", datetime.now(UTC))
    many = engine.run(make_request(num_images=3, scheduler=scheduler), together, ignore).images
    (third,) = engine.run(make_request(seed=9, scheduler=scheduler), alone, ignore).images
    assert many[2].seed == third.seed == 9
    assert (tmp_path / many[2].filename).read_bytes() == (tmp_path / third.filename).read_bytes()


def test_a_picture_does_not_depend_on_the_one_before(engine: Engine, outputs: OutputFolder) -> None:
    (before,) = engine.run(make_request(), outputs, ignore).images
    content = (outputs.storage.folder / before.filename).read_bytes()
    for fields in ({"scheduler": "dpmpp-sde", "prompt": "(cat)1.4"}, {"width": 128, "seed": 3}):
        engine.run(make_request(**fields), outputs, ignore)
    (after,) = engine.run(make_request(), outputs, ignore).images
    assert (outputs.storage.folder / after.filename).read_bytes() == content


def test_every_time_is_measured(engine: Engine, outputs: OutputFolder) -> None:
    timings = engine.run(make_request(), outputs, ignore).timings
    for name in timings.__dataclass_fields__:
        assert getattr(timings, name) > 0, name
    assert timings.denoise > timings.save


def test_a_picture_carries_what_made_it(engine: Engine, outputs: OutputFolder) -> None:
    request = make_request(model="pony-xl-v6", prompt="fox: a, b", scheduler="DPM++ 2M Karras")
    (image,) = engine.run(request, outputs, ignore).images
    unet = hashlib.sha256(Path(request.model_path).read_bytes()).hexdigest()
    with Image.open(outputs.storage.folder / image.filename) as picture:
        assert picture.size == (64, 64)
        text = picture.text  # type: ignore[attr-defined]
    assert text["parameters"].splitlines() == [
        "score_9, score_8_up, score_7_up, fox: a, b",
        "Negative prompt: low quality, bad anatomy, worst quality, low res",
        "Steps: 4, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 7, Size: 64x64, "
        f"Model hash: {unet[:10]}, Model: pony-xl-v6, Clip skip: 2, RNG: CPU, "
        f'Hashes: {{"model": "{unet[:10]}"}}, Version: ecurie {ecurie.__version__}',
    ]
    manifest = json.loads(text["ecurie"])
    assert manifest["request"]["seed"] == 7
    assert manifest["setup"]["scheduler"] == "DPMSolverMultistepScheduler"
    assert manifest["setup"]["versions"]["torch"] == torch.__version__
    files = {file["part"]: file for file in manifest["setup"]["files"]}
    assert files.keys() == {"unet", "vae", "text_encoder", "text_encoder_2"}
    assert files["unet"]["sha256"] == unet
    vae = DEMO_FOLDER / "vae" / files["vae"]["name"]
    assert files["vae"]["sha256"] == hashlib.sha256(vae.read_bytes()).hexdigest()
    assert str(DEMO_FOLDER) not in text["ecurie"]


def test_stopping_in_the_middle_leaves_no_file(engine: Engine, outputs: OutputFolder) -> None:
    def cancel_in_the_second_image(progress: Progress) -> None:
        if progress.step == 6:
            assert len(list(outputs.storage.folder.iterdir())) == 1
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        engine.run(make_request(num_images=2), outputs, cancel_in_the_second_image)
    assert list(outputs.storage.folder.iterdir()) == []


def test_a_picture_of_nan_is_never_saved(
    engine: Engine, outputs: OutputFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(DEMO_FOLDER, broken)
    weights = broken / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["decoder.conv_out.bias"].fill_(float("nan"))
    save_file(tensors, weights, {"format": "pt"})
    request = dataclasses.replace(make_request(), model_path=str(broken))
    with pytest.raises(ImageNotFinite, match="seed 7"):
        engine.run(request, outputs, ignore)
    assert not list(outputs.storage.folder.glob("*.png"))


def test_weights_removed_while_the_job_waited_are_named(
    engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    request = dataclasses.replace(make_request(), model_path=str(tmp_path / "gone"))
    with pytest.raises(WeightsMissing, match="gone"):
        engine.run(request, outputs, ignore)


def test_weights_of_another_shape_are_refused(
    compute: Compute, outputs: OutputFolder, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "model"))
    config = json.loads((folder / "vae" / "config.json").read_text())
    (folder / "vae" / "config.json").write_text(json.dumps(config | {"block_out_channels": [24, 48, 72]}))
    request = dataclasses.replace(make_request(), model_path=str(folder))
    with pytest.raises(WeightsInvalid, match="model"):
        Engine(compute, Budgets(10**12, 0, models=1)).run(request, outputs, ignore)


def test_the_least_recently_used_model_leaves(
    compute: Compute, outputs: OutputFolder, tmp_path: Path
) -> None:
    folders = [str(shutil.copytree(DEMO_FOLDER, tmp_path / name)) for name in "abc"]
    engine = Engine(compute, Budgets(10**12, 0, models=2))
    a, b, c = (dataclasses.replace(make_request(steps=1), model_path=folder) for folder in folders)

    def switch(request: object) -> float:
        return engine.run(request, outputs, ignore).timings.switch  # type: ignore[arg-type]

    loads = [switch(request) for request in (a, b)]
    assert max(switch(a), switch(b), switch(a)) < min(loads) / 20
    switch(c)
    assert switch(a) < min(loads) / 20
    assert switch(b) > min(loads) / 20


def test_replaced_weights_are_loaded_again(compute: Compute, outputs: OutputFolder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "model"))
    request = dataclasses.replace(make_request(), model_path=str(folder))
    engine = Engine(compute, Budgets(10**12, 0, models=2))
    pictures = []
    for gain in (1.0, 0.5):
        weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(weights)
        tensors["decoder.conv_out.weight"] *= gain
        save_file(tensors, weights, {"format": "pt"})
        (image,) = engine.run(request, outputs, ignore).images
        pictures.append((outputs.storage.folder / image.filename).read_bytes())
    assert pictures[0] != pictures[1]


def test_a_run_whose_job_was_taken_over_removes_its_own_files_and_not_the_new_owner_s(
    engine: Engine, outputs: OutputFolder
) -> None:
    new_owner = dataclasses.replace(outputs, attempt=2)

    def lose_the_lease(progress: Progress) -> None:
        if progress.step == 6:
            engine.run(make_request(num_images=2), new_owner, ignore)
            raise LeaseLost("taken over")

    with pytest.raises(LeaseLost):
        engine.run(make_request(num_images=2), outputs, lose_the_lease)
    assert sorted(file.name for file in outputs.storage.folder.iterdir()) == sorted(
        new_owner.name_of(make_request(), index) for index in range(2)
    )


def test_weights_stored_in_half_precision_compute_in_single_on_a_cpu(model: Model, compute: Compute) -> None:
    with safe_open(DEMO_FOLDER / "unet" / "diffusion_pytorch_model.safetensors", "pt") as file:
        assert file.get_tensor(next(iter(file.keys()))).dtype is torch.float16
    assert compute.dtype is torch.float32
    for module in (model.unet, model.vae, *model.text_encoders):
        assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_a_device_that_is_not_there_is_refused() -> None:
    missing = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(SettingsError, match=f"--device {missing}"):
        choose_compute(missing)


def test_a_weight_that_drifted_is_named_before_anything_is_drawn(
    compute: Compute, outputs: OutputFolder
) -> None:
    engine = Engine(compute, Budgets(10**12, 0, models=1), verify_weights=True)
    request = make_request(loras=[{"name": "style-anime"}], steps=1)
    engine.run(request, outputs, ignore)
    assert engine.verify(request).weights_written > 0
    (resident,) = engine._residency._models.values()
    resident.model.unet.conv_in.weight.data[0, 0, 0, 0] += 1
    with pytest.raises(WeightsDrifted, match=r"1 weights .* unet\.conv_in\.weight"):
        engine.run(request, outputs, ignore)
    with pytest.raises(WeightsDrifted):
        engine.verify(make_request())
