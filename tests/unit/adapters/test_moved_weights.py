"""Weights that left their place and came back: pristine or patched, they are base + stack, bit for bit."""

from __future__ import annotations

import math
import random

import pytest
import torch
from accelerate import cpu_offload
from accelerate.hooks import remove_hook_from_module

from ecurie.adapters.parallel import go_on
from ecurie.adapters.reader import Adapter
from ecurie.engine.devices import Compute
from ecurie.engine.loader import Model, load_model
from ecurie.engine.modules import drop
from ecurie.engine.placement import parts_of
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.adapters.test_patcher import adapters, assert_pristine, digest, use

__all__ = ["adapters"]


@pytest.fixture(scope="module", params=[torch.float32, torch.float16], ids=["copied", "mapped"])
def moving(request: pytest.FixtureRequest) -> Model:
    compute = Compute(torch.device("cpu"), request.param)
    return load_model(read_checkpoint(ModelFiles(DEMO_FOLDER)), compute)


def move(model: Model, name: str, dice: random.Random) -> None:
    """Away and back, in one of the ways that the steps of the memory ladder use."""
    module = parts_of(model)[name]
    match dice.choice(["device", "layers", "dropped"]):
        case "device":
            # What `.to(accelerator)` and back leaves: equal values in new memory.
            for parameter in module.parameters():
                parameter.data = parameter.data.clone()
        case "layers":
            cpu_offload(module, torch.device("cpu"))
            remove_hook_from_module(module, recurse=True)
        case "dropped":
            drop(module)
            model.patcher.forget(name)
            model.refill(name, go_on)


@pytest.mark.parametrize("seed", range(2))
def test_after_any_moves_and_stacks_the_weights_are_base_plus_stack(
    moving: Model, adapters: list[Adapter], seed: int
) -> None:
    dice = random.Random(seed)
    moving.patcher.apply([])
    pristine = digest(moving)
    for _ in range(8):
        stack = [use(one, 0.5, dice.choice([0.0, 0.7])) for one in dice.sample(adapters, dice.randint(0, 3))]
        for name in parts_of(moving):
            if dice.random() < 0.5:
                move(moving, name, dice)
        moving.patcher.apply(stack)
        moved = digest(moving)
        moving.patcher.apply([])
        assert digest(moving) == pristine
        moving.patcher.apply(stack)
        assert digest(moving) == moved
        assert (moved == pristine) is not bool(stack)
        assert moving.patcher.drifted() == []
    for name in parts_of(moving):
        move(moving, name, dice)
    moving.patcher.apply([])
    assert digest(moving) == pristine
    if moving.unet.dtype is torch.float32:
        assert_pristine(moving)


def test_only_patched_weights_of_a_mapped_model_take_memory(adapters: list[Adapter]) -> None:
    half = Compute(torch.device("cpu"), torch.float16)
    model = load_model(read_checkpoint(ModelFiles(DEMO_FOLDER)), half)
    assert model.patcher.own_bytes == 0
    model.patcher.apply([use(adapters[0], 1.0, 1.0)])
    inventory = files.demo_inventory()
    sizes = [2 * math.prod(inventory[part][path].shape) for part, path, _ in adapters[0].deltas]
    assert model.patcher.own_bytes == sum(sizes)
    model.patcher.apply([use(adapters[3], 1.0)])
    assert 0 < model.patcher.own_bytes < sum(sizes)
    model.patcher.forget("unet")
    assert model.patcher.own_bytes == 0
