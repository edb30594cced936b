"""What a client may ask for, field by field."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import GenerationRequest
from ecurie.errors import (
    AdapterMismatch,
    EcurieError,
    InvalidRequest,
    NotBuiltYet,
    RequestError,
    UnknownAdapter,
    UnknownModel,
    WeightsMissing,
)
from ecurie.jobs.schedule import stack_of
from ecurie.requests.body import MAX_PROMPT, GenerateBody
from ecurie.requests.describe import describe
from ecurie.requests.resolve import resolve, resolve_for_cli
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files


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
        {"prompt": "x", "loras": [{"name": "a", "blocks": [1] * 13}]},
        {"prompt": "x", "loras": [{"name": "a", "blocks": {"OUT09": 1}}]},
        {"prompt": "x", "loras": [{"name": "a", "blocks": {"IN": 4.1}}]},
        {"prompt": "x", "loras": [{"name": "a", "strict": "no"}]},
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


ADAPTERS = """
defaults: {model: base}
models:
  base: {name: Base, source: "demo:sdxl-base", supported_loras: [neon]}
adapters:
  neon: {name: Neon, source: ./neon.safetensors, default_weight: 0.75, trigger_words: [neon, "dark city"]}
  soft: {name: Soft, source: ./soft.safetensors, trigger_words: [Neon, soft light]}
  gone: {name: Gone, source: ./gone.safetensors}
  far: {name: Far, source: "hf:owner/name/far.safetensors"}
"""


@pytest.fixture
def stocked(tmp_path: Path) -> Catalog:
    """A catalogue with adapters whose files are there, for a while already, and some whose are not."""
    (tmp_path / "ecurie.yaml").write_text(ADAPTERS)
    for seed, name in enumerate(("neon", "soft")):
        file = tmp_path / f"{name}.safetensors"
        files.save(file, files.kohya_tensors(files.attention_places()[:4], seed=seed))
        os.utime(file, (1e9, 1e9))
    return Catalog(tmp_path / "ecurie.yaml", tmp_path / "models")


def asked(
    catalog: Catalog, *loras: dict[str, Any], prompt: str = "a cat", **fields: Any
) -> GenerationRequest:
    return resolve(GenerateBody(prompt=prompt, loras=list(loras), **fields), catalog, 10**9)


def test_weights_come_from_the_request_then_the_catalogue(stocked: Catalog) -> None:
    uses = asked(
        stocked,
        {"name": "neon"},
        {"name": "neon", "weight": 0.5},
        {"name": "neon", "weight": 0.5, "text_encoder": 0},
        {"name": "neon", "unet": 1.5},
        {"name": "soft"},
    ).adapters
    assert [(use.unet, use.text_encoder) for use in uses] == [
        (0.75, 0.75),
        (0.5, 0.5),
        (0.5, 0),
        (1.5, 0.75),
        (1, 1),
    ]


def test_trigger_words_are_added_once_in_stack_order(stocked: Catalog) -> None:
    both = asked(stocked, {"name": "neon"}, {"name": "soft"})
    assert both.final_prompt == "a cat, neon, dark city, soft light"
    assert [use.triggers for use in both.adapters] == [("neon", "dark city"), ("soft light",)]


@pytest.mark.parametrize(
    ("prompt", "final"),
    [
        ("NEON cat", "NEON cat, dark city"),
        ("neonlight", "neonlight, neon, dark city"),
        ("a dark  city", "a dark  city, neon, dark city"),
        ("dark city, neon", "dark city, neon"),
    ],
)
def test_a_trigger_that_is_there_as_a_whole_phrase_is_not_added(
    stocked: Catalog, prompt: str, final: str
) -> None:
    assert asked(stocked, {"name": "neon"}, prompt=prompt).final_prompt == final


def test_triggers_can_be_left_out_and_weight_zero_adds_none(stocked: Catalog) -> None:
    assert asked(stocked, {"name": "neon"}, inject_triggers=False).final_prompt == "a cat"
    assert asked(stocked, {"name": "neon", "weight": 0}).final_prompt == "a cat"


def with_metadata(folder: Path, name: str, **metadata: str) -> None:
    written = {key.replace("__", "."): text for key, text in metadata.items()}
    tensors = files.kohya_tensors(files.attention_places()[:4], seed=5)
    files.save(folder / f"{name}.safetensors", tensors, written)


def test_an_adapter_without_trigger_words_brings_the_phrase_of_its_metadata(
    stocked: Catalog, tmp_path: Path
) -> None:
    phrase = "mira (heroine), NEON"
    for name in ("neon", "gone"):
        with_metadata(tmp_path, name, modelspec__trigger_phrase=phrase, ss_tag_frequency='{"a": {"b": 5}}')
    request = asked(stocked, {"name": "neon"}, {"name": "gone"})
    # Brackets of a file's phrase are letters, not weights.
    assert request.final_prompt == r"a cat, neon, dark city, mira \(heroine\)"
    assert [use.triggers_from for use in request.adapters] == ["catalogue", "modelspec.trigger_phrase"]
    assert asked(stocked, {"name": "gone"}, inject_triggers=False).final_prompt == "a cat"
    loose = GenerateBody(prompt="a cat", loras=[{"name": str(tmp_path / "gone.safetensors")}])
    assert resolve_for_cli(loose, stocked, 10**9).final_prompt == r"a cat, mira \(heroine\), NEON"


def test_captions_are_no_trigger_words(stocked: Catalog, tmp_path: Path) -> None:
    with_metadata(
        tmp_path, "gone", ss_tag_frequency='{"a": {"mira": 5}}', modelspec__trigger_phrase="x" * 999
    )
    request = asked(stocked, {"name": "gone"})
    assert request.final_prompt == "a cat"
    (use,) = request.adapters
    assert (use.triggers, use.triggers_from) == ((), "")


def test_an_adapter_of_another_lineage_is_used_with_a_note(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    with_metadata(tmp_path / "adapters", "mine", ss_sd_model_name="ponyDiffusionV6XL.safetensors")
    (use,) = asked(catalog, {"name": "mine"}).adapters
    assert "trained on Pony (says ss_sd_model_name); sdxl-base is SDXL" in use.warnings[-1]
    (use,) = asked(catalog, {"name": "mine"}, model="pony-xl-v6").adapters
    assert not any("trained on" in warning for warning in use.warnings)


def test_an_adapter_outside_the_advice_is_used_with_a_note(stocked: Catalog) -> None:
    neon, soft = asked(stocked, {"name": "neon"}, {"name": "soft"}).adapters
    assert neon.warnings == ()
    assert "not among the adapters" in soft.warnings[0]


@pytest.mark.parametrize(
    ("name", "error", "remedy"),
    [
        ("nope", UnknownAdapter, "far, gone, neon, soft"),
        ("gone", WeightsMissing, "put the file there"),
        ("far", WeightsMissing, "run: ecurie pull far"),
    ],
)
def test_an_adapter_that_is_not_here_says_what_to_do(
    stocked: Catalog, name: str, error: type[EcurieError], remedy: str
) -> None:
    with pytest.raises(error) as caught:
        asked(stocked, {"name": name})
    assert remedy in (caught.value.remedy or "")


def test_an_adapter_for_another_model_is_refused_at_submit(stocked: Catalog, tmp_path: Path) -> None:
    tensors = files.kohya_tensors(files.attention_places()[:1])
    wide = {key: torch.zeros(4, 768) if "down" in key else tensor for key, tensor in tensors.items()}
    files.save(tmp_path / "soft.safetensors", wide)
    with pytest.raises(AdapterMismatch, match="4×768"):
        asked(stocked, {"name": "soft"})


def test_the_command_line_takes_a_file_for_an_adapter(stocked: Catalog, tmp_path: Path) -> None:
    body = GenerateBody(prompt="x", loras=[{"name": str(tmp_path / "neon.safetensors"), "weight": 0.6}])
    (use,) = resolve_for_cli(body, stocked, 10**9).adapters
    assert (use.name, use.unet, use.triggers) == ("neon", 0.6, ())
    with pytest.raises(UnknownAdapter):
        resolve(body, stocked, 10**9)


def test_the_command_line_takes_a_folder_for_a_model(catalog: Catalog) -> None:
    request = resolve_for_cli(GenerateBody(prompt="x", model=str(DEMO_FOLDER)), catalog, 10**9)
    assert (request.model, request.model_path) == ("sdxl-base", str(DEMO_FOLDER))
    with pytest.raises(UnknownModel, match="nor a folder"):
        resolve_for_cli(GenerateBody(prompt="x", model="./nowhere"), catalog, 10**9)


def test_the_network_interface_takes_no_folder(catalog: Catalog) -> None:
    with pytest.raises(UnknownModel):
        resolve(GenerateBody(prompt="x", model=str(DEMO_FOLDER)), catalog, 10**9)


TAG_FORMS = [
    ("a cat <lora:neon>", {"name": "neon"}),
    ("a cat, <lora:neon:0.4>", {"name": "neon", "weight": 0.4}),
    ("<lyco:neon:1:0.5> a cat", {"name": "neon", "text_encoder": 1, "unet": 0.5}),
    ("a cat<lora:neon:unet=0.5>", {"name": "neon", "unet": 0.5}),
    (f"a cat<lora:neon:lbw={'1,' * 11}0>", {"name": "neon", "blocks": [1] * 11 + [0]}),
]


@pytest.mark.parametrize(("prompt", "lora"), TAG_FORMS)
def test_a_tag_in_the_prompt_is_the_same_stack(stocked: Catalog, prompt: str, lora: dict[str, Any]) -> None:
    tagged = asked(stocked, prompt=prompt)
    plain = asked(stocked, lora)
    assert (tagged.prompt, tagged.final_prompt) == (prompt, "a cat, neon, dark city")
    assert tagged.final_prompt == plain.final_prompt
    assert tagged.tagged_prompt == f"{prompt}, neon, dark city"
    (use,) = tagged.adapters
    assert dataclasses.replace(use, in_prompt=False) == plain.adapters[0]
    assert stack_of(tagged) == stack_of(plain)


def test_tags_come_after_the_loras_and_the_same_adapter_twice_adds(stocked: Catalog) -> None:
    both = asked(stocked, {"name": "soft"}, {"name": "neon"}, prompt="<lora:neon:0.2> <lora:neon:0.3> cat")
    assert [(use.name, use.unet) for use in both.adapters] == [
        ("soft", 1),
        ("neon", 0.75),
        ("neon", 0.2),
        ("neon", 0.3),
    ]
    assert both.final_prompt == "cat, Neon, soft light, dark city"


def test_a_tag_names_a_file_as_the_web_uis_do(stocked: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "adapters"
    folder.mkdir(parents=True)
    files.save(folder / "My Style v1.2.safetensors", files.kohya_tensors(files.attention_places()[:2]))
    for name in ("My Style v1.2", "my-style-v1-2"):
        (use,) = asked(stocked, prompt=f"cat <lora:{name}:0.5>").adapters
        assert (use.name, use.unet) == ("my-style-v1-2", 0.5)


def test_what_is_answered_makes_the_same_stack_again(stocked: Catalog) -> None:
    first = asked(
        stocked, {"name": "soft", "blocks": {"IN": 0.5}, "strict": False}, prompt="cat <lora:neon:0.3>"
    )
    shown = describe(first)
    assert shown["prompt"] == "cat <lora:neon:0.3>"
    again = resolve(GenerateBody(**shown), stocked, 10**9)
    assert again == first


@pytest.mark.parametrize(
    ("fields", "error", "field", "reason"),
    [
        ({"prompt": "cat <lora:nope:1>"}, UnknownAdapter, "prompt", "no adapter 'nope'"),
        ({"prompt": "cat", "loras": [{"name": "neon"}, {"name": "nope"}]}, UnknownAdapter, "loras.1", "nope"),
        ({"prompt": "cat <lora:neon:abc>"}, InvalidRequest, "prompt", "'abc' is no number"),
        ({"prompt": "cat <lora:neon:1:1:4>"}, NotBuiltYet, "prompt", "dyn="),
        ({"prompt": " <lora:neon>, "}, InvalidRequest, "prompt", "nothing but adapter tags"),
        (
            {"prompt": "x", "negative_prompt": "<lora:neon>"},
            InvalidRequest,
            "negative_prompt",
            "whole picture",
        ),
        ({"prompt": "<lora:neon>" * 64 + "x", "loras": [{"name": "neon"}]}, InvalidRequest, "prompt", "64"),
    ],
)
def test_a_tag_that_cannot_be_used_names_its_field(
    stocked: Catalog, fields: dict[str, Any], error: type[RequestError], field: str, reason: str
) -> None:
    with pytest.raises(error, match=reason) as caught:
        resolve(GenerateBody(**fields), stocked, 10**9)
    assert caught.value.field == field


def test_blocks_of_one_are_no_blocks_and_others_are_another_stack(stocked: Catalog) -> None:
    plain, ones, half = (
        asked(stocked, {"name": "neon", **fields})
        for fields in ({}, {"blocks": [1] * 20}, {"blocks": {"IN": 0.5}})
    )
    assert plain == dataclasses.replace(ones, seed=plain.seed)
    assert half.adapters[0].blocks == tuple((f"IN{n:02}", 0.5) for n in range(9))
    assert stack_of(plain) == stack_of(ones) != stack_of(half)


def test_blocks_that_a_list_leaves_out_are_told_when_the_file_has_them(
    stocked: Catalog, tmp_path: Path
) -> None:
    files.save(tmp_path / "neon.safetensors", files.kohya_tensors(files.conv_places()))
    (use,) = asked(stocked, {"name": "neon", "blocks": [1] * 12}).adapters
    assert use.warnings == (
        "a list of 12 numbers leaves out IN00, IN01, IN02, IN03, IN06, OUT06, OUT07, OUT08: they get 0",
    )


def test_a_file_that_does_not_fit_whole_is_refused_unless_it_may(stocked: Catalog, tmp_path: Path) -> None:
    tensors = files.kohya_tensors(files.attention_places()[:2])
    files.save(tmp_path / "neon.safetensors", tensors | {"lora_unet_more.lora_up.weight": torch.ones(4, 4)})
    with pytest.raises(AdapterMismatch, match="lora_unet_more"):
        asked(stocked, {"name": "neon"})
    (use,) = asked(stocked, {"name": "neon", "strict": False}).adapters
    assert not use.strict


def with_embedding(folder: Path, name: str, embedding: str) -> None:
    tensors = files.kohya_tensors(files.attention_places()[:4], seed=len(name))
    tensors |= {f"bundle_emb.{embedding}.{role}": torch.zeros(2, 32) for role in ("clip_l", "clip_g")}
    files.save(folder / f"{name}.safetensors", tensors)


def test_two_adapters_may_not_bring_embeddings_of_one_name(stocked: Catalog, tmp_path: Path) -> None:
    with_embedding(tmp_path, "neon", "mystyle")
    with_embedding(tmp_path, "soft", "MyStyle")
    assert asked(stocked, {"name": "neon"}, {"name": "neon", "weight": 0.1}).adapters[0].embeddings == (
        "mystyle",
    )
    asked(stocked, {"name": "neon"}, {"name": "soft", "weight": 0})
    with pytest.raises(InvalidRequest, match="both bring an embedding called MyStyle"):
        asked(stocked, {"name": "neon"}, {"name": "soft"})
