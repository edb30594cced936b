"""OpenAI's names become those of POST /generate, and errors speak of the client's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ecurie.api.openai.bodies import ImagesBody
from ecurie.api.openai.translate import clients_names, native_body, native_model
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.errors import InvalidRequest, UnknownAdapter, UnknownSampler
from ecurie.requests.body import GenerateBody


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(BUILTIN["demo"], tmp_path)


def translated(catalog: Catalog, **fields: Any) -> dict[str, Any]:
    body = native_body(ImagesBody.model_validate({"prompt": "red apple"} | fields), catalog)
    return body.model_dump(exclude_unset=True)


def test_a_prompt_alone_leaves_all_else_to_the_defaults(catalog: Catalog) -> None:
    assert translated(catalog) == {"prompt": "red apple", "num_images": 1, "format": "png"}


@pytest.mark.parametrize(
    ("given", "native"),
    [
        ({"n": 3, "size": "1536x1024"}, {"num_images": 3, "width": 1536, "height": 1024}),
        ({"output_format": "webp", "output_compression": 0}, {"format": "webp", "quality": 1}),
        ({"quality": "hd"}, {"steps": 45}),
        ({"quality": "low", "num_inference_steps": 8}, {"steps": 8}),
        ({"quality": "high", "preset": "lightning"}, {"preset": "lightning"}),
        ({"quality": "auto"}, {}),
        ({"cfg_scale": 4.5, "seed": 1, "clip_skip": 2}, {"guidance_scale": 4.5, "seed": 1, "clip_skip": 2}),
        ({"sampler": "DPM++ 2M", "scheduler": "Karras"}, {"scheduler": "dpmpp-2m-karras"}),
        ({"sampler": "DPM++ 2M Karras"}, {"scheduler": "dpmpp-2m-karras"}),
        ({"sampler": "DPM++ 2M", "scheduler": "uniform"}, {"scheduler": "dpmpp-2m"}),
        ({"sampler": "Euler a", "scheduler": "automatic"}, {"scheduler": "euler-a"}),
        ({"sampler": "unipc"}, {"scheduler": "unipc"}),
        ({"scheduler": "unipc"}, {"scheduler": "unipc"}),
        ({"model": "pony-xl-v6", "user": "42", "style": "vivid"}, {"model": "pony-xl-v6"}),
        ({"model": None, "size": None, "seed": None, "stream": None}, {}),
    ],
)
def test_a_field_becomes_ours(catalog: Catalog, given: dict[str, Any], native: dict[str, Any]) -> None:
    assert {name: value for name, value in translated(catalog, **given).items() if name in native} == native
    assert translated(catalog, **given).keys() == {"prompt", "num_images", "format", *native}


@pytest.mark.parametrize(
    "lora",
    [
        {"lora": "ink"},
        {"lora": {"name": "ink"}},
        {"lora": [{"lora_name": "ink"}]},
        {"loras": [{"name": "ink"}]},
        {"loras": ["ink"]},
    ],
)
def test_an_adapter_may_be_written_in_several_ways(catalog: Catalog, lora: dict[str, Any]) -> None:
    assert translated(catalog, **lora)["loras"] == [{"name": "ink"}]


def test_a_scale_is_a_weight(catalog: Catalog) -> None:
    assert translated(catalog, lora={"lora_name": "ink", "scale": 0.5})["loras"] == [
        {"name": "ink", "weight": 0.5}
    ]


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"stesp": 5}, "stesp", "did you mean 'steps'"),
        ({"num_images": 2}, "num_images", "did you mean 'n'"),
        ({"frame_count": 3}, "frame_count", "unknown field"),
        ({"steps": 5, "num_inference_steps": 5}, "num_inference_steps", "send one of them"),
        ({"num_inference_steps": 500}, "num_inference_steps", "num_inference_steps: "),
        ({"steps": "5"}, "steps", "valid integer"),
        ({"sampler": "nope"}, "sampler", "no sampler 'nope'"),
        ({"sampler": 5}, "sampler", "is a text"),
        ({"sampler": "Euler", "scheduler": "nope"}, "scheduler", "no schedule type 'nope'"),
        ({"lora": {"name": "ink", "path": "/etc"}}, "lora.0.path", "unknown field"),
        ({"size": "100x104"}, "size", "multiples of 8"),
        ({"size": "huge"}, "size", "multiples of 8"),
        ({"size": "64x64", "width": 64}, "size", "send one of them"),
        ({"background": "transparent"}, "background", "opaque"),
    ],
)
def test_what_cannot_be_done_is_refused_by_the_clients_name(
    catalog: Catalog, given: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises((InvalidRequest, UnknownSampler)) as raised:
        translated(catalog, **given)
    assert raised.value.field == field
    assert said in raised.value.whole


def test_errors_after_the_translation_are_told_likewise() -> None:
    body = ImagesBody.model_validate({"prompt": "x", "lora": "ink", "sampler": "Euler", "height": 64})
    for native, told in [
        ("loras.0", "lora.0"),
        ("scheduler", "sampler"),
        ("width", "size"),
        ("height", "height"),
        ("init_image", "image"),
        ("prompt", "prompt"),
    ]:
        with pytest.raises(UnknownAdapter) as raised, clients_names(body):
            raise UnknownAdapter(f"{native}: wrong", field=native, remedy="do this")
        assert (raised.value.field, raised.value.remedy) == (told, "do this")
        assert str(raised.value).startswith(f"{told.partition('.')[0]}")


@pytest.mark.parametrize(
    ("name", "native"),
    [
        (None, None),
        ("gpt-image-2.5-flare", None),
        ("dall-e-2", None),
        ("nope", "nope"),
        ("sdxl-base", "sdxl-base"),
    ],
)
def test_ids_of_openais_models_mean_the_default_one(
    catalog: Catalog, name: str | None, native: str | None
) -> None:
    assert native_model(name, catalog) == native


def test_every_field_of_generate_can_be_reached(catalog: Catalog) -> None:
    """By its own name, or by OpenAI's for the same."""
    renamed = {"num_images": "n", "format": "output_format", "quality": "output_compression"}
    for name in GenerateBody.model_fields:
        sent = renamed.get(name, name)
        with pytest.raises((ValidationError, InvalidRequest)) as raised:
            translated(catalog, **{sent: object()})
        assert "unknown field" not in str(raised.value), name


@pytest.mark.parametrize(
    ("fields", "as_url"),
    [
        ({}, False),
        ({"model": "gpt-image-1"}, False),
        ({"model": "dall-e-3"}, True),
        ({"model": "dall-e-2", "response_format": "b64_json"}, False),
        ({"response_format": "url"}, True),
    ],
)
def test_only_the_first_models_answer_with_addresses_by_themselves(
    fields: dict[str, Any], as_url: bool
) -> None:
    assert ImagesBody(prompt="x", **fields).as_url is as_url
