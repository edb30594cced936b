from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.errors import InvalidRequest
from ecurie.requests.resolve import resolve
from ecurie.requests.sweep import Cell, SweepBody, cells, with_seed
from ecurie.sweeps import switching_least


def made(x: tuple[str, list[Any]], y: tuple[str, list[Any]] | None = None, **fields: Any) -> list[Cell]:
    content: dict[str, Any] = {"request": {"prompt": "red apple", "seed": 7} | fields}
    content |= {name: {"field": axis[0], "values": axis[1]} for name, axis in (("x", x), ("y", y)) if axis}
    return list(cells(SweepBody.model_validate(content)))


def test_cells_go_row_by_row_and_share_the_seed() -> None:
    found = made(("steps", [4, 8, 12]), ("guidance_scale", [2.0, 5.0]))
    assert [cell.number for cell in found] == list(range(6))
    assert [(cell.body.steps, cell.body.guidance_scale) for cell in found[2:4]] == [(12, 2), (4, 5)]
    assert {cell.body.seed for cell in found} == {7}
    assert found[5].label == "steps=12, guidance_scale=5"


def test_a_seed_that_is_left_open_is_drawn_once_for_all_cells() -> None:
    axis = {"field": "steps", "values": [4, 8]}
    sweep = with_seed(SweepBody.model_validate({"request": {"prompt": "red apple"}, "x": axis}))
    assert {cell.body.seed for cell in cells(sweep)} == {sweep.request.seed}
    assert sweep.request.seed is not None


def test_seeds_can_be_an_axis() -> None:
    assert [cell.body.seed for cell in made(("seed", [1, 2]))] == [1, 2]


def test_a_text_in_the_prompt_is_replaced_by_each_value() -> None:
    found = made(("prompt_replace", ["red", "green"]), ("prompt_replace", ["apple", "umbrella"]))
    prompts = [cell.body.prompt for cell in found]
    assert prompts == ["red apple", "green apple", "red umbrella", "green umbrella"]


def test_an_adapter_s_weight_is_varied_in_the_stack_or_added_to_it() -> None:
    loras = [{"name": "style-anime", "unet": 0.3}, {"name": "ink-sketch"}]
    for cell, weight in zip(made(("lora:style-anime", [0, 0.5]), loras=loras), [0, 0.5], strict=True):
        first, second = cell.body.loras
        assert (first.name, first.weight, first.unet) == ("style-anime", weight, None)
        assert second.name == "ink-sketch"
    (added,) = made(("lora:style-anime", [0.5]))
    assert [(lora.name, lora.weight) for lora in added.body.loras] == [("style-anime", 0.5)]


@pytest.mark.parametrize(
    ("axis", "fault"),
    [
        (("loras", [1]), "cannot be an axis"),
        (("num_images", [2]), "cannot be an axis"),
        (("colour", ["red"]), "no field of a request"),
        (("steps", []), "at least 1"),
        (("steps", list(range(101))), "at most 100"),
    ],
)
def test_an_axis_that_cannot_be_is_refused(axis: tuple[str, list[Any]], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        made(axis)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"x": ("steps", [1, 2]), "y": ("steps", [3])}, "both axes vary 'steps'"),
        ({"x": ("seed", list(range(20))), "y": ("steps", [4, 5, 6, 7, 8, 9])}, "120 cells"),
        ({"x": ("seed", [1]), "num_images": 2}, "one picture"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        made(**fields)


@pytest.mark.parametrize(
    ("axis", "fault"),
    [
        (("steps", [4, 0]), "the cell steps=0: steps: "),
        (("steps", ["many"]), "the cell steps=many: steps: "),
        (("prompt_replace", ["green", "red"]), "does not hold 'green'"),
        (("lora:style-anime", [9]), "the cell style-anime=9: loras.0.weight: "),
    ],
)
def test_a_value_that_cannot_be_names_its_cell(axis: tuple[str, list[Any]], fault: str) -> None:
    with pytest.raises(InvalidRequest, match=fault):
        made(axis)


def test_cells_are_ordered_so_that_each_model_and_stack_comes_once() -> None:
    catalog = Catalog(BUILTIN["demo"], Path("nowhere"))
    found = made(("model", ["sdxl-base", "pony-xl-v6"]), ("lora:style-anime", [0.5, 1]))
    found += made(("steps", [1, 2]))
    ordered = switching_least([(cell, resolve(cell.body, catalog, 10**9)) for cell in found])
    kinds = [(request.model, [use.unet for use in request.adapters]) for _, request in ordered]
    assert kinds == [
        ("sdxl-base", [0.5]),
        ("sdxl-base", [1]),
        ("sdxl-base", []),
        ("sdxl-base", []),
        ("pony-xl-v6", [0.5]),
        ("pony-xl-v6", [1]),
    ]
