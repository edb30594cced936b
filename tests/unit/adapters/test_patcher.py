"""Nothing sticks: whatever was applied, the weights are base + stack, bit for bit."""

from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from ecurie.adapters import patcher as patcher_module
from ecurie.adapters.patcher import Applied, Change
from ecurie.adapters.reader import Adapter, load_adapter
from ecurie.engine.devices import Compute
from ecurie.engine.loader import Model, load_model
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.formats.hashes import sha256_of
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files


@pytest.fixture(scope="module")
def own_model(compute: Compute) -> Model:
    return load_model(read_checkpoint(ModelFiles(DEMO_FOLDER)), compute)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Adapter]:
    folder = tmp_path_factory.mktemp("adapters")
    places = files.attention_places()
    made = []
    for seed, chosen in enumerate((places, places[::3], files.conv_places(), places[:4])):
        file = files.save(folder / f"{seed}.safetensors", files.kohya_tensors(chosen, seed=seed))
        made.append(load_adapter(read_adapter(file, files.demo_inventory()), sha256_of(file)))
    return made


def use(adapter: Adapter, unet: float, text_encoder: float = 0.0) -> Applied:
    return Applied(adapter, {"unet": unet, "text_encoder": text_encoder, "text_encoder_2": text_encoder})


def digest(model: Model) -> int:
    """A checksum of every weight of every part, in order: four times as quick as a hash, and as good here."""
    checksum = 0
    for module in (model.unet, model.vae, *model.text_encoders):
        for tensor in module.state_dict().values():
            checksum = zlib.crc32(tensor.contiguous().numpy().data, checksum)
    return checksum


def assert_pristine(model: Model) -> None:
    """Against the files themselves, not against what we remember."""
    for part, module in (
        ("unet", model.unet),
        ("text_encoder", model.text_encoders[0]),
        ("text_encoder_2", model.text_encoders[1]),
    ):
        state = {name.removeprefix("text_model."): tensor for name, tensor in module.state_dict().items()}
        for source in files.demo_inventory()[part].values():  # type: ignore[index]
            with safe_open(source.file, "pt") as content:
                stored = content.get_tensor(source.key).float()
            assert torch.equal(state[source.key.removeprefix("text_model.")], stored), source.key


def test_hundreds_of_random_stacks_and_failures_leave_the_base_as_it_was(
    own_model: Model, adapters: list[Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(5)
    patcher = own_model.patcher
    patcher.apply([])
    before = digest(own_model)
    seen: dict[tuple[object, ...], int] = {}
    write_sum = patcher_module.write_sum
    for _ in range(150):
        chosen = dice.sample(adapters, dice.randint(0, len(adapters)))
        stack = [use(one, dice.choice([-0.7, 0.3, 1.0]), dice.choice([0.0, 1.0])) for one in chosen]
        if stack and dice.random() < 0.2:
            left = dice.randint(0, 5)

            def fail_later(*arguments: Any) -> bool:
                nonlocal left
                left -= 1
                if left < 0:
                    raise RuntimeError("injected")
                return write_sum(*arguments)

            with monkeypatch.context() as failing:
                failing.setattr(patcher_module, "write_sum", fail_later)
                try:
                    patcher.apply(stack)
                except RuntimeError:
                    assert digest(own_model) == before
            continue
        patcher.apply(stack)
        if dice.random() < 0.3:
            key = tuple(sorted(applied.signature for applied in stack))  # type: ignore[type-var]
            now = digest(own_model)
            assert seen.setdefault(key, now) == now
            assert (now == before) == (not stack)
    patcher.apply([])
    assert digest(own_model) == before
    assert_pristine(own_model)


def test_the_order_of_a_stack_changes_no_bit(own_model: Model, adapters: list[Adapter]) -> None:
    stack = [use(one, weight, 0.5) for one, weight in zip(adapters, (0.3, 0.9, -0.4, 1.3), strict=True)]
    digests = set()
    for order in (stack, stack[::-1], [*stack[2:], *stack[:2]]):
        own_model.patcher.apply([])
        own_model.patcher.apply(order)
        digests.add(digest(own_model))
    assert len(digests) == 1


def test_the_same_stack_again_writes_nothing(own_model: Model, adapters: list[Adapter]) -> None:
    own_model.patcher.apply([])
    stack = [use(adapters[0], 0.5), use(adapters[1], 0.5)]
    assert own_model.patcher.apply(stack).patched > 0
    assert own_model.patcher.apply(stack[::-1]) == Change()
    assert own_model.patcher.apply([use(adapters[0], 0.6), stack[1]]).patched > 0


def test_a_part_of_weight_zero_is_not_touched(own_model: Model, adapters: list[Adapter]) -> None:
    own_model.patcher.apply([])
    places = {place for place in adapters[0].deltas if place[0] == "unet"}
    assert own_model.patcher.apply([use(adapters[0], 1.0, 0.0)]).patched == len(places)
    own_model.patcher.apply([])
    before = digest(own_model)
    own_model.patcher.apply([use(adapters[0], 0.0, 0.0)])
    assert digest(own_model) == before


def test_patched_weights_are_the_base_plus_the_sum_rounded_once(
    own_model: Model, adapters: list[Adapter]
) -> None:
    own_model.patcher.apply([use(adapters[0], 0.5, 0.25), use(adapters[1], -1.0, 2.0)])
    place = next(place for place in adapters[1].deltas if place[0] == "text_encoder")
    source = files.demo_inventory()[place[0]][place[1]]
    with safe_open(source.file, "pt") as content:
        expected = content.get_tensor(source.key).double()
    for adapter, weight in ((adapters[0], 0.25), (adapters[1], 2.0)):
        factors = adapter.deltas[place]
        expected += weight * factors.scale * (factors.up.double() @ factors.down.double())
    weight_now = own_model.text_encoders[0].get_submodule(place[1]).weight
    torch.testing.assert_close(weight_now.double(), expected, rtol=1e-5, atol=1e-6)
    own_model.patcher.apply([])


def test_the_demo_files_are_never_written(own_model: Model, adapters: list[Adapter]) -> None:
    before = {file: sha256_of(file) for file in Path(DEMO_FOLDER).rglob("*.safetensors")}
    own_model.patcher.apply([use(adapters[0], 1.0, 1.0)])
    own_model.patcher.apply([])
    assert {file: sha256_of(file) for file in before} == before
