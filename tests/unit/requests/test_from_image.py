"""What an image tells of itself becomes a body, and what cannot is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import PictureUse
from ecurie.errors import UnknownPicture
from ecurie.formats.hashes import sha256_of
from ecurie.images.files import provenance_of
from ecurie.images.reading import ImageText
from ecurie.requests.body import GenerateBody
from ecurie.requests.from_image import Recalled, recall
from ecurie.requests.resolve import resolve
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import make_request
from tests.unit.images.test_infotext import SETUP

CATALOG = Catalog(BUILTIN["demo"], Path("nowhere"))
FOREIGN = """a cat, <lora:style-anime:0.7>, (masterpiece:1.2) <lora:Foreign Thing:1>
Negative prompt: bad, worse
Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 123, Size: 833x1216, \
Model hash: 31e35c80fc, Model: sdxl-base, Denoising strength: 0.4, Clip skip: 2, Hires upscale: 1.5, \
Hires upscaler: 4x-UltraSharp, Face restoration: CodeFormer, Version: v1.9"""


def none_here(_text: str, field: str) -> PictureUse:
    raise UnknownPicture("no picture", field=field)


def read(parameters: str | None, manifest: str | None = None) -> Recalled:
    return recall(ImageText("png", 64, 64, parameters, manifest), CATALOG, none_here)


def settings(**given: object) -> Recalled:
    shown = {"Steps": 20, "Sampler": "Euler", "Seed": 1} | {
        key.replace("_", " "): one for key, one in given.items()
    }
    return read("cat\n" + ", ".join(f"{key}: {value}" for key, value in shown.items()))


def test_the_body_of_an_image_of_ours_makes_the_same_request() -> None:
    request = make_request(
        loras=[{"name": "style-anime", "unet": 0.5, "text_encoder": 0.2}], negative_prompt="blur", clip_skip=3
    )
    told = provenance_of(request, 0, SETUP)
    found = read(told.parameters, told.manifest)
    assert (found.made_by, found.notes) == ("ecurie", ())
    assert resolve(GenerateBody(**found.request), CATALOG, 10**9) == request


def test_adapters_of_tags_become_the_stack_s() -> None:
    request = make_request(prompt="red apple <lora:style-anime:0.5>")
    found = read(None, provenance_of(request, 0, SETUP).manifest)
    assert found.request["prompt"] == "red apple"
    (made,) = resolve(GenerateBody(**found.request), CATALOG, 10**9).adapters
    assert (made.name, made.unet, made.sha256) == ("style-anime", 0.5, request.adapters[0].sha256)


@pytest.mark.parametrize(
    ("change", "gone", "note"),
    [
        ({"model": "elsewhere"}, "model", "the model 'elsewhere' is not in this server's catalogue"),
        ({"preset": "elsewhere"}, "preset", None),
        ({"steps": 999}, "steps", "steps is left out: Input should be less than or equal to 150"),
    ],
)
def test_what_is_not_here_is_left_out_of_it(change: dict[str, Any], gone: str, note: str | None) -> None:
    request = dataclasses.replace(make_request(), **change)
    found = read(None, provenance_of(request, 0, SETUP).manifest)
    assert gone not in found.request
    assert found.notes == (() if note is None else (note,))
    assert GenerateBody(**found.request).prompt == "red apple"


def test_foreign_settings_are_mapped_and_the_others_said() -> None:
    found = read(FOREIGN)
    assert found.made_by == "a1111"
    assert found.request == {
        "prompt": "a cat, (masterpiece:1.2)",
        "negative_prompt": "bad, worse",
        "prompt_syntax": "a1111",
        "steps": 25,
        "scheduler": "dpmpp-2m-karras",
        "guidance_scale": 6.5,
        "seed": 123,
        "width": 832,
        "height": 1216,
        "model": "sdxl-base",
        "clip_skip": 2,
        "hires": {"upscaler": "lanczos", "scale": 1.5, "strength": 0.4, "steps": 63},
        "loras": [{"name": "style-anime", "unet": 0.7, "text_encoder": 0.7}],
    }
    assert found.notes == (
        "the size 833x1216 becomes 832x1216: sides are multiples of 8",
        "the upscaler 4x-UltraSharp is not known here; Lanczos is used",
        "Face restoration: CodeFormer is not taken over",
        "the adapter 'Foreign Thing' is not in this server's catalogue",
    )


@pytest.mark.parametrize(
    ("sampler", "schedule", "expected", "note"),
    [
        ("Euler a", "Automatic", "euler-a", None),
        ("DPM++ 2M Karras", None, "dpmpp-2m-karras", None),
        ("Euler", "SGM Uniform", "euler-trailing", None),
        ("PLMS", "Automatic", "pndm", None),
        ("DPM++ 2M", "Automatic", "dpmpp-2m-karras", None),
        ("DPM++ 2M", "Beta", "dpmpp-2m-karras", "there is no schedule type 'Beta'"),
        ("Restart", "Automatic", None, "there is no sampler 'Restart'"),
    ],
)
def test_samplers_are_told_by_a1111_s_names(
    sampler: str, schedule: str | None, expected: str | None, note: str | None
) -> None:
    given = {"Sampler": sampler} | ({"Schedule_type": schedule} if schedule else {})
    found = settings(**given)
    assert found.request.get("scheduler") == expected
    assert [one.startswith(note or "?") for one in found.notes] == ([True] if note else [])


def test_a_model_is_known_by_its_name_or_its_hash() -> None:
    unet = next((DEMO_FOLDER / "unet").glob("*.safetensors"))
    auto_v2 = sha256_of(unet)[:10]
    assert settings(Model="another name", Model_hash=auto_v2).request["model"] == "sdxl-base"
    assert settings(Model="Pony XL v6").request["model"] == "pony-xl-v6"
    assert settings(Model="x", Model_hash="0123456789").notes == (
        "the model 'x' is not in this server's catalogue",
    )


def test_a_picture_that_was_drawn_over_is_missed() -> None:
    assert settings(Denoising_strength=0.5).notes == (
        "it was drawn over another picture, which is not in the file",
    )


@pytest.mark.parametrize(
    "text",
    [
        "Steps: 20, Sampler: Euler, Seed: x, Size: 5, CFG scale: 1e999, Clip skip: ",
        "<lora:a:1:2:3> <lora:\nSteps: 20, Sampler: Euler, Seed: 1, Hires upscale: nan",
        "cat\nSteps: 20, Sampler: Euler, Seed: 1, Hires upscale: 2, Denoising strength: 1e999",
        "\ud800 \0\nSteps: 20, Sampler: \ud800, Seed: 99999999999999999999999",
        "x" * 20_000,
        "",
    ],
)
def test_whatever_it_says_the_body_may_be_sent_or_has_no_prompt(text: str) -> None:
    found = read(text, "{broken")
    assert found.notes[0].startswith("its manifest cannot be read")
    if "prompt" in found.request:
        GenerateBody(**found.request)
    else:
        assert "it tells no prompt" in found.notes


def test_an_image_that_tells_nothing_has_no_request() -> None:
    assert read(None) == Recalled(None, "png", 64, 64)
