"""A1111's text: written as its grammar has it, and read from whoever wrote it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import ecurie
from ecurie.catalog.sampler_names import a1111_sampler
from ecurie.catalog.schedulers import SCHEDULERS
from ecurie.domain import AdapterUse, ModelFile, Setup
from ecurie.images.infotext import quoted, write_infotext
from ecurie.images.infotext_reading import read_infotext
from tests.unit.jobs.test_store import REQUEST

SETUP = Setup(
    "cpu",
    "float32",
    "EulerDiscreteScheduler",
    {},
    files=(ModelFile("unet", "u.safetensors", "a1" * 32, 9), ModelFile("vae", "v.safetensors", "b2" * 32, 9)),
)
USE = AdapterUse("my, style", "/x", "c3" * 32, "d4" * 6, unet=0.5, text_encoder=0.8)


def test_the_settings_stand_in_a1111_s_order() -> None:
    request = dataclasses.replace(
        REQUEST, adapters=(USE,), vae_path="/vaes/fix.safetensors", negative_prompt="blur"
    )
    prompt, negative, settings = write_infotext(request, 7, SETUP).split("\n")
    assert prompt == "red apple <lora:my, style:0.8:0.5>"
    assert negative == "Negative prompt: blur"
    assert settings == (
        "Steps: 30, Sampler: Euler, Schedule type: Uniform, CFG scale: 7.5, Seed: 7, Size: 64x64, "
        "Model hash: a1a1a1a1a1, Model: sdxl-base, VAE hash: b2b2b2b2b2, VAE: fix.safetensors, Clip skip: 2, "
        'RNG: CPU, Lora hashes: "my style: d4d4d4d4d4d4", '
        'Hashes: {"model": "a1a1a1a1a1", "vae": "b2b2b2b2b2", "lora:my style": "c3c3c3c3c3"}, '
        f"Version: ecurie {ecurie.__version__}"
    )


def test_what_does_not_apply_is_left_out() -> None:
    text = write_infotext(dataclasses.replace(REQUEST, clip_skip=1), 7, SETUP)
    for key in ("Negative prompt", "VAE", "Clip skip", "Lora hashes"):
        assert f"{key}:" not in text


@pytest.mark.parametrize(
    ("scheduler", "class_name", "name"),
    [
        ("dpmpp-2m-karras", "DPMSolverMultistepScheduler", ("DPM++ 2M", "Karras")),
        ("dpmpp-2m", "DPMSolverMultistepScheduler", ("DPM++ 2M", "Uniform")),
        ("dpmpp-2m-sde-karras", "DPMSolverMultistepScheduler", ("DPM++ 2M SDE", "Karras")),
        ("dpmpp-2m-sde-exponential", "DPMSolverMultistepScheduler", ("DPM++ 2M SDE", "Exponential")),
        ("dpm2-a-karras", "KDPM2AncestralDiscreteScheduler", ("DPM2 a", "Karras")),
        ("euler-a", "EulerAncestralDiscreteScheduler", ("Euler a", "Uniform")),
        ("euler-trailing", "EulerDiscreteScheduler", ("Euler", "SGM Uniform")),
        ("pndm", "PNDMScheduler", ("PLMS", "Automatic")),
        ("ddim", "DDIMScheduler", ("DDIM", "Automatic")),
        ("default", "EulerDiscreteScheduler", ("Euler", "Uniform")),
        ("default", "DPMSolverMultistepScheduler", ("DPM++ 2M", "Uniform")),
    ],
)
def test_samplers_have_a1111_s_names(scheduler: str, class_name: str, name: tuple[str, str]) -> None:
    assert a1111_sampler(scheduler, class_name) == name


def test_no_sampler_s_name_holds_its_schedule() -> None:
    names = [a1111_sampler(entry.id, entry.class_name or "") for entry in SCHEDULERS]
    assert not any(schedule in sampler for sampler, _ in names for schedule in ("Karras", "Exponential"))
    assert len(set(names)) == len(names)


FOREIGN = [
    (
        "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Seed: 1",
        ("a cat", "dog", {"Steps": "20", "Sampler": "Euler a", "Seed": "1"}),
    ),
    (
        "two\nlines, a: b\nNegative prompt: no\nmore\nSteps: 1, Sampler: x, Seed: 2",
        ("two\nlines, a: b", "no\nmore", {"Steps": "1", "Sampler": "x", "Seed": "2"}),
    ),
    ("a: 1, b: 2", ("a: 1, b: 2", "", {})),
    ("", ("", "", {})),
    ("Steps: 1, Sampler: x, Seed: 2", ("", "", {"Steps": "1", "Sampler": "x", "Seed": "2"})),
    (
        'p\nSteps: 1, Lora hashes: "a: 12, b: 34", TI: "say \\"hi\\"", Size: 64x64',
        ("p", "", {"Steps": "1", "Lora hashes": "a: 12, b: 34", "TI": 'say "hi"', "Size": "64x64"}),
    ),
    (
        'p\nSteps: 1, Seed: 2, Hashes: {"model": "ab", "lora:x": "cd"}, Version: v1.9',
        (
            "p",
            "",
            {"Steps": "1", "Seed": "2", "Hashes": '{"model": "ab", "lora:x": "cd"}', "Version": "v1.9"},
        ),
    ),
    (
        'p\nSteps: 1, Odd: "never closed, Seed: 2, Size: {broken, CFG scale: 7',
        ("p", "", {"Steps": "1", "Odd": '"never closed', "Seed": "2", "Size": "{broken", "CFG scale": "7"}),
    ),
]


@pytest.mark.parametrize(("text", "expected"), FOREIGN)
def test_foreign_texts_are_read(text: str, expected: tuple[str, str, dict[str, str]]) -> None:
    found = read_infotext(text)
    assert (found.prompt, found.negative_prompt, found.settings) == expected


@hypothesis_settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8")))
def test_any_value_comes_back(value: str) -> None:
    value = value.strip().lstrip('"{[')
    text = f"p\nSteps: 1, Model: {quoted(value)}, Seed: 2, Size: 1x1"
    assert read_infotext(text).settings == {"Steps": "1", "Model": value, "Seed": "2", "Size": "1x1"}


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert isinstance(read_infotext(text).settings, dict)


def test_long_hostile_texts_take_no_time() -> None:
    """A reader that looks back would need hours for these."""
    for piece in ('a: "\\', 'a: {"', "a: [", "a:a:", "a" * 50 + ":", '"', ",", "\n"):
        read_infotext("p\n" + piece * (1_000_000 // len(piece)))


def test_the_hashes_are_what_civitai_looks_for() -> None:
    settings = write_infotext(dataclasses.replace(REQUEST, adapters=(USE,)), 7, SETUP).splitlines()[-1]
    assert settings.startswith("Steps: ")
    _, _, rest = settings.partition(", Hashes: ")
    found, _ = json.JSONDecoder().raw_decode(rest)
    assert found == {"model": "a1a1a1a1a1", "lora:my style": "c3c3c3c3c3"}
