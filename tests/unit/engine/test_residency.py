"""Several models in memory, within budgets."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.engine import residency as residency_module
from ecurie.engine.devices import Compute
from ecurie.engine.engine import Engine
from ecurie.engine.loader import Model, load_model
from ecurie.engine.memory import Step
from ecurie.engine.modules import empty_module
from ecurie.engine.residency import Budgets, Residency
from ecurie.formats.checkpoint import Checkpoint, ModelFiles, read_checkpoint
from ecurie.images.files import OutputFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import ignore, request_of
from tests.unit.ip_adapters import request_with

PLENTY = 10**12


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`a`, `b`, `c`: the demo model, float16, copied into float32. `m`: stored in float32, mapped."""
    place = tmp_path_factory.mktemp("models")
    made = {name: Path(shutil.copytree(DEMO_FOLDER, place / name)) for name in "abcm"}
    for file in made["m"].rglob("*.safetensors"):
        save_file({key: tensor.float() for key, tensor in load_file(file).items()}, file)
    return made


@pytest.fixture(scope="module")
def size(folders: dict[str, Path], compute: Compute) -> int:
    """Bytes that one of the copied models takes."""
    return Residency(compute, Budgets(PLENTY, 0)).need(read_checkpoint(ModelFiles(folders["a"]))).copied


Draw = Callable[..., None]


def drawer(engine: Engine, folders: dict[str, Path], outputs: OutputFolder) -> Draw:
    """Draws with one of the models."""

    def draw(name: str, **fields: object) -> None:
        engine.run(request_of(folders[name], steps=1, **fields), outputs, ignore)

    return draw


def resident(engine: Engine) -> list[str]:
    """The one used last first."""
    return [model["id"] for model in engine.describe()["models"]]


def test_as_many_models_stay_as_the_budget_holds(
    compute: Compute, folders: dict[str, Path], size: int, outputs: OutputFolder
) -> None:
    engine = Engine(compute, Budgets(int(2.5 * size), 0))
    draw = drawer(engine, folders, outputs)
    for name, expected in (("a", "a"), ("b", "ba"), ("a", "ab"), ("c", "ca"), ("b", "bc")):
        draw(name)
        assert "".join(resident(engine)) == expected


def test_an_ip_adapter_in_memory_takes_its_part_of_the_budget(
    compute: Compute, folders: dict[str, Path], size: int, outputs: OutputFolder, tmp_path: Path
) -> None:
    engine = Engine(compute, Budgets(int(2.02 * size), 0))
    draw = drawer(engine, folders, outputs)
    for name in "ab":
        draw(name)
    assert resident(engine) == ["b", "a"]
    request = request_with(Catalog(BUILTIN["demo"], tmp_path), "octopus", steps=1)
    request = dataclasses.replace(request, model="b", model_path=str(folders["b"]))
    engine.run(request, outputs, ignore)
    assert resident(engine) == ["b"]


def test_a_mapped_model_costs_nothing_until_it_is_patched(
    compute: Compute, folders: dict[str, Path], size: int, outputs: OutputFolder
) -> None:
    engine = Engine(compute, Budgets(int(1.1 * size), 0))
    draw = drawer(engine, folders, outputs)
    draw("m")
    draw("a")
    assert resident(engine) == ["a", "m"]
    assert {model["id"]: model["ram"] for model in engine.describe()["models"]} == {"a": size, "m": 0}
    stack = [{"name": "style-anime", "weight": 0.5}]
    draw("m", loras=stack)
    patched = engine.describe()["models"][0]
    assert 0 < patched["ram"] < size
    assert resident(engine) == ["m"], "with its patched weights there is no room for the other"
    assert patched["adapters"] == ["style-anime (unet 0.5, text encoders 0.5)"]
    draw("b")
    assert resident(engine) == ["b"]
    draw("m")
    assert engine.describe()["models"][0] | {"last_used": ""} == {
        "id": "m", "weights": size, "ram": 0, "vram": 0, "last_used": "", "in_use": False, "adapters": [],
    }  # fmt: skip


def test_a_model_larger_than_the_budget_is_loaded_alone_with_a_warning(
    compute: Compute,
    folders: dict[str, Path],
    size: int,
    outputs: OutputFolder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = Engine(compute, Budgets(size // 2, 0))
    draw = drawer(engine, folders, outputs)
    draw("a")
    draw("b")
    assert resident(engine) == ["b"]
    (first, _) = [record.getMessage() for record in caplog.records]
    assert "model a needs 0.0" in first
    assert "more than the whole ECURIE_RAM_BUDGET" in first


def test_a_model_in_use_never_leaves(compute: Compute, folders: dict[str, Path], size: int) -> None:
    residency = Residency(compute, Budgets(size, 0))
    found = {name: read_checkpoint(ModelFiles(folder)) for name, folder in folders.items()}
    with residency.use("a", found["a"], Step.ALL_RESIDENT) as kept:
        for name in "bc":
            with residency.use(name, found[name], Step.ALL_RESIDENT):
                assert {one["id"] for one in residency.describe()} == {"a", name}
        residency.clear()
        assert [(one["id"], one["in_use"]) for one in residency.describe()] == [("a", True)]
    with residency.use("a", found["a"], Step.ALL_RESIDENT) as again:
        assert again is kept
    residency.clear()
    assert residency.describe() == []


def test_a_limit_of_models_holds_beside_the_budgets(
    compute: Compute, folders: dict[str, Path], outputs: OutputFolder
) -> None:
    engine = Engine(compute, Budgets(PLENTY, 0, models=2))
    draw = drawer(engine, folders, outputs)
    for name in "abc":
        draw(name)
    assert resident(engine) == ["c", "b"]


def test_a_switch_between_resident_models_loads_nothing(
    compute: Compute, folders: dict[str, Path], outputs: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(compute, Budgets(PLENTY, 0))
    draw = drawer(engine, folders, outputs)
    for name in "abm":
        draw(name)
    monkeypatch.setattr(residency_module, "load_model", None)
    for name in "abm":
        draw(name)


def test_a_preloaded_model_is_resident(compute: Compute, folders: dict[str, Path]) -> None:
    engine = Engine(compute, Budgets(PLENTY, 0))
    began = time.time()
    engine.preload("mine", read_checkpoint(ModelFiles(folders["a"])))
    (described,) = engine.describe()["models"]
    assert (described["id"], described["in_use"], described["adapters"]) == ("mine", False, [])
    assert described["last_used"] >= time.strftime("%Y-%m-%d", time.gmtime(began))


def test_an_empty_module_has_no_memory_and_draws_no_numbers() -> None:
    config = json.loads((DEMO_FOLDER / "unet" / "config.json").read_text())
    before = torch.get_rng_state()
    first, second = (empty_module("unet", dict(config)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert list(first.state_dict()) == list(second.state_dict())
    assert {parameter.device.type for parameter in second.parameters()} == {"meta"}
    assert not second.training
    drawn = torch.nn.Linear(4, 4).weight
    assert drawn.abs().min() > 0, "what skips the numbers ends with the building"


def test_an_accelerator_s_budget_counts_what_is_there_and_what_the_job_will_need(
    compute: Compute, folders: dict[str, Path], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in: the models are loaded on the CPU, and `where` says that they are elsewhere."""
    where = torch.device("cuda")
    loads: list[str] = []

    def load(checkpoint: Checkpoint, place: Compute, *_others: object) -> Model:
        loads.append(place.device.type)
        return load_model(checkpoint, compute)

    monkeypatch.setattr(residency_module, "load_model", load)
    monkeypatch.setattr(residency_module, "place_of", lambda _module: where)
    residency = Residency(Compute(where, torch.float32), Budgets(int(1.5 * size), int(2.5 * size)))

    def run(name: str, step: Step, peak: int = 0) -> list[tuple[str, int, int]]:
        with residency.use(name, read_checkpoint(ModelFiles(folders[name])), step, peak):
            pass
        return [(one["id"], one["ram"], one["vram"]) for one in residency.describe()]

    run("a", Step.ALL_RESIDENT)
    assert run("b", Step.ALL_RESIDENT) == [("b", 0, size), ("a", 0, size)]
    assert run("a", Step.ALL_RESIDENT, int(1.4 * size)) == [("a", 0, size), ("b", 0, size)]
    assert run("a", Step.ALL_RESIDENT, int(1.6 * size)) == [("a", 0, size)]
    where = torch.device("cpu")
    assert run("c", Step.MODEL_OFFLOAD, size // 2) == [("c", size, 0)], "the host holds but one"
    assert loads == ["cuda", "cuda", "cpu"]


def test_a_model_that_comes_takes_over_the_memory_of_the_one_that_leaves(
    compute: Compute, folders: dict[str, Path], outputs: OutputFolder, tmp_path: Path
) -> None:
    """And nothing of what was there: the weights are those of a model that is loaded alone."""
    other = Path(shutil.copytree(folders["a"], tmp_path / "other"))
    for file in other.rglob("*.safetensors"):
        save_file({key: -tensor for key, tensor in load_file(file).items()}, file)
    engine = Engine(compute, Budgets(PLENTY, 0, models=1))
    with_stack = request_of(folders["a"], loras=[{"name": "style-anime"}])
    engine.run(with_stack, outputs, ignore)
    (old,) = engine._residency._models.values()
    pointers = {name: tensor.data_ptr() for name, tensor in old.model.unet.state_dict().items()}
    engine.run(request_of(other), outputs, ignore)
    (new,) = engine._residency._models.values()
    assert {name: tensor.data_ptr() for name, tensor in new.model.unet.state_dict().items()} == pointers
    alone = load_model(read_checkpoint(ModelFiles(other)), compute)
    for reused, fresh in zip(
        (new.model.unet, new.model.vae, *new.model.text_encoders),
        (alone.unet, alone.vae, *alone.text_encoders),
        strict=True,
    ):
        fresh_state = fresh.state_dict()
        assert all(torch.equal(tensor, fresh_state[name]) for name, tensor in reused.state_dict().items())
    assert new.model.patcher.drifted() == []
