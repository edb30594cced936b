"""What metadata says, whoever wrote it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecurie.errors import AdapterInvalid
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.metadata import (
    LINEAGE_FIELDS,
    MAX_CANDIDATES,
    TAGS_FIELD,
    TITLE_FIELDS,
    TRIGGER_FIELD,
    read_about,
)
from tests.unit.adapters import files


def test_title_and_bases_are_told_with_their_fields() -> None:
    about = read_about(
        {
            "modelspec.title": "Ink",
            "ss_output_name": "ink-000010",
            "ss_sd_model_name": "ponyDiffusionV6XL.safetensors",
            "ss_base_model_version": "sdxl_base_v1-0",
            "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        }
    )
    assert about.title is not None
    assert (about.title.text, about.title.source) == ("Ink", "modelspec.title")
    assert [(base.text, base.source) for base in about.bases] == [
        ("ponyDiffusionV6XL.safetensors", "ss_sd_model_name"),
        ("sdxl_base_v1-0", "ss_base_model_version"),
        ("stable-diffusion-xl-v1-base/lora", "modelspec.architecture"),
    ]


@pytest.mark.parametrize(
    ("name", "lineage"),
    [
        ("ponyDiffusionV6XL_v6StartWithThisOne.safetensors", "Pony"),
        ("autismmixSDXL_autismmixPony.safetensors", "Pony"),
        ("Illustrious-XL-v0.1.safetensors", "Illustrious"),
        ("noobaiXLNAIXL_vPred10Version.safetensors", "NoobAI"),
        ("animagine-xl-3.1.safetensors", "Animagine"),
        ("sd_xl_base_1.0.safetensors", "SDXL"),
        ("sd_xl_base_1.0_0.9vae.safetensors", "SDXL"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "SDXL"),
        ("juggernautXL_v9.safetensors", None),
    ],
)
def test_the_lineage_is_told_by_the_base_s_name(name: str, lineage: str | None) -> None:
    found = read_about({"ss_sd_model_name": name}).lineage
    assert (found and found.text) == lineage
    assert found is None or found.source == "ss_sd_model_name"


def test_the_trainer_s_word_goes_before_the_title_and_score_tags_tell_pony() -> None:
    both = {"ss_sd_model_name": "Illustrious-XL.safetensors", "modelspec.title": "my pony style"}
    found = read_about(both).lineage
    assert found is not None
    assert found.text == "Illustrious"
    tagged = read_about({TAGS_FIELD: json.dumps({"a": {"score_9": 20}})}).lineage
    assert tagged is not None
    assert (tagged.text, tagged.source) == ("Pony", TAGS_FIELD)
    assert read_about({"ss_base_model_version": "sdxl_base_v1-0"}).lineage is None


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("cyberpunk, neon", ("cyberpunk", "neon")),
        (" a  b ,, a b,c", ("a b", "c")),
        ("line\nbreak\0", ("line break",)),
        ("", ()),
        (" , ", ()),
        ("x" * 301, ()),
    ],
)
def test_trigger_phrases_are_split_at_commas(text: str, phrases: tuple[str, ...]) -> None:
    assert read_about({TRIGGER_FIELD: text}).trigger_phrases == phrases


def test_tags_are_ranked_and_common_ones_come_last() -> None:
    tags = {"10_mira": {"mira": 40, "1girl": 40, "red dress": 10}, "5_more": {"mira": 10, "solo": 50}}
    candidates = read_about({TAGS_FIELD: json.dumps(tags)}).candidates
    assert [(candidate.text, candidate.score) for candidate in candidates] == [
        ("mira", 1.0),
        ("red dress", 0.2),
        ("solo", 0.2),
        ("1girl", 0.16),
    ]
    assert {candidate.source for candidate in candidates} == {TAGS_FIELD}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[1, 2]",
        '{"a": 5}',
        '{"a": {"b": "many"}, "c": {"d": [1]}}',
        '{"a": {"b": NaN, "c": Infinity, "d": -1, "e": true, "f": null}}',
        '{"a": {"": 3, " ": 4}}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a": {"b": 1' + "0" * 5_000 + "}}",
        "x" * 20_000_000,
    ],
)
def test_hostile_tag_counts_give_no_candidates(text: str) -> None:
    began = time.monotonic()
    assert read_about({TAGS_FIELD: text}).candidates == ()
    assert time.monotonic() - began < 1


def test_huge_counts_and_long_tags_stay_small() -> None:
    tags = {"a": {"x" * 10_000: 10**300, **{f"tag{number}": number for number in range(1, 50)}}}
    candidates = read_about({TAGS_FIELD: json.dumps(tags)}).candidates
    assert len(candidates) == MAX_CANDIDATES
    assert max(len(candidate.text) for candidate in candidates) <= 300


fields = st.sampled_from([*TITLE_FIELDS, *LINEAGE_FIELDS, TRIGGER_FIELD, TAGS_FIELD, "ss_base_model_version"])
nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(fields, st.text() | nested.map(json.dumps)))
def test_no_metadata_raises_and_all_that_is_told_can_be_sent(metadata: dict[str, str]) -> None:
    about = read_about(metadata)
    told = [about.title, *about.bases, about.lineage, *about.candidates]
    for text in [*(item.text for item in told if item), *about.trigger_phrases]:
        assert text.encode()
        assert text.isprintable()


@pytest.mark.parametrize(
    "options",
    ["[" * 100_000, '{"unet.lora_alpha": 1' + "0" * 400 + "}", '{"unet.lora_alpha": NaN}', '"text"', "5"],
)
def test_hostile_peft_options_end_in_an_error_of_ours(tmp_path: Path, options: str) -> None:
    path = "mid_block.attentions.0.proj_in"
    outputs, inputs = files.demo_inventory()["unet"][path].shape[:2]
    tensors = {
        f"unet.{path}.lora_A.weight": torch.zeros(2, inputs),
        f"unet.{path}.lora_B.weight": torch.zeros(outputs, 2),
    }
    file = files.save(tmp_path / "a.safetensors", tensors, {"lora_adapter_metadata": options})
    with pytest.raises(
        AdapterInvalid, match="lora_alpha" if "lora_alpha" in options else "PEFT configuration"
    ):
        read_adapter(file, files.demo_inventory())
