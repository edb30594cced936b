"""What a client may ask for, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.errors import InvalidRequest, NotBuiltYet, UnknownModel
from ecurie.requests import MAX_PROMPT, GenerateBody, resolve, resolve_for_cli
from tests.conftest import DEMO_FOLDER


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(BUILTIN["demo"], tmp_path)


def test_a_prompt_alone_is_filled_in_from_the_default_model(catalog: Catalog) -> None:
    request = resolve(GenerateBody(prompt="red apple"), catalog, 10**9)
    assert (request.model, request.width, request.height) == ("sdxl-base", 64, 64)
    assert (request.steps, request.guidance_scale, request.num_images) == (30, 7.5, 1)
    assert request.negative_prompt == "low quality, blurry, distorted"
    assert request.final_prompt == "red apple"
    assert 0 <= request.seed < 2**32


def test_the_model_s_prefix_is_put_before_the_prompt_unless_refused(catalog: Catalog) -> None:
    body = {"prompt": "fox", "model": "pony-xl-v6"}
    assert resolve(GenerateBody(**body), catalog, 10**9).final_prompt == (
        "score_9, score_8_up, score_7_up, fox"
    )
    without = resolve(GenerateBody(**body, prompt_prefix=False), catalog, 10**9)
    assert (without.prompt, without.final_prompt) == ("fox", "fox")


@pytest.mark.parametrize("seed", [None, -1])
def test_a_seed_is_drawn_at_submit(catalog: Catalog, seed: int | None) -> None:
    body = GenerateBody(prompt="fox", seed=seed)
    assert len({resolve(body, catalog, 10**9).seed for _ in range(5)}) > 1


def test_seeds_of_images_count_up_and_wrap(catalog: Catalog) -> None:
    request = resolve(GenerateBody(prompt="fox", seed=2**32 - 1), catalog, 10**9)
    assert [request.seed_of(index) for index in range(2)] == [2**32 - 1, 0]
    assert resolve(GenerateBody(prompt="fox", seed=0), catalog, 10**9).seed == 0


def test_an_empty_negative_prompt_stays_empty(catalog: Catalog) -> None:
    assert resolve(GenerateBody(prompt="fox", negative_prompt=""), catalog, 10**9).negative_prompt == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ""},
        {"prompt": " \n\t"},
        {"prompt": "x" * (MAX_PROMPT + 1)},
        {"prompt": "a\0b"},
        {"prompt": "\ud800"},
        {"prompt": 5},
        {"prompt": "x", "negative_prompt": "a\0"},
        {"prompt": "x", "unknown": 1},
        {"prompt": "x", "steps": 0},
        {"prompt": "x", "steps": 151},
        {"prompt": "x", "steps": "30"},
        {"prompt": "x", "steps": 30.5},
        {"prompt": "x", "steps": True},
        {"prompt": "x", "guidance_scale": 0.9},
        {"prompt": "x", "guidance_scale": 30.1},
        {"prompt": "x", "guidance_scale": float("nan")},
        {"prompt": "x", "guidance_scale": float("inf")},
        {"prompt": "x", "seed": -2},
        {"prompt": "x", "seed": 2**32},
        {"prompt": "x", "width": 63},
        {"prompt": "x", "width": 68},
        {"prompt": "x", "height": 8200},
        {"prompt": "x", "num_images": 0},
        {"prompt": "x", "num_images": 17},
        {"prompt": "x", "clip_skip": 0},
        {"prompt": "x", "ip_strength": 1.1},
        {"prompt": "x", "model": ""},
        {"prompt": "x", "loras": [{"name": "a", "weight": 4.1}]},
        {"prompt": "x", "loras": [{"weight": 1}]},
        {},
    ],
)
def test_a_wrong_field_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GenerateBody(**fields)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"width": 512, "height": 512}, "width", "262,144 pixels"),
        ({"scheduler": "eular"}, "scheduler", "eular"),
        ({"scheduler": "lcm", "steps": 51}, "steps", "at most 50"),
        ({"clip_skip": 4}, "clip_skip", "3 text layers"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(
    catalog: Catalog, fields: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        resolve(GenerateBody(prompt="x", **fields), catalog, 10**9)
    assert caught.value.field == field


def test_the_server_s_pixel_limit_holds_too(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequest, match="may draw 4,096"):
        resolve(GenerateBody(prompt="x", width=72), catalog, 64 * 64)


@pytest.mark.parametrize(
    "fields", [{"loras": [{"name": "style-anime", "weight": 0.8}]}, {"ip_strength": 0.1}]
)
def test_what_is_not_built_yet_is_refused_not_ignored(catalog: Catalog, fields: dict[str, Any]) -> None:
    with pytest.raises(NotBuiltYet):
        resolve(GenerateBody(prompt="x", **fields), catalog, 10**9)


def test_the_command_line_takes_a_folder_for_a_model(catalog: Catalog) -> None:
    request = resolve_for_cli(GenerateBody(prompt="x", model=str(DEMO_FOLDER)), catalog, 10**9)
    assert (request.model, request.model_path) == ("sdxl-base", str(DEMO_FOLDER))
    with pytest.raises(UnknownModel, match="nor a folder"):
        resolve_for_cli(GenerateBody(prompt="x", model="./nowhere"), catalog, 10**9)


def test_the_network_interface_takes_no_folder(catalog: Catalog) -> None:
    with pytest.raises(UnknownModel):
        resolve(GenerateBody(prompt="x", model=str(DEMO_FOLDER)), catalog, 10**9)
