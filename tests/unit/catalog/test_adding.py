"""What a new entry says, from the file's header and what its publisher told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ecurie.catalog.adding import describe, local_source, source_of_page
from ecurie.catalog.downloads.plan import Plan
from ecurie.errors import InvalidRequest, WeightsMissing
from tests.unit.adapters import files

CROSS = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.mark.parametrize(
    ("page", "source"),
    [
        ("https://civitai.com/models/122359?modelVersionId=135867", "civitai:135867"),
        ("https://civitai.com/models/1/some-name?tab=x&modelVersionId=7&more=1", "civitai:7"),
        ("https://civitai.com/api/download/models/135867?type=Model", "civitai:135867"),
        ("https://huggingface.co/a/b.c", "hf:a/b.c"),
        ("https://huggingface.co/a/b/blob/main/d/e.safetensors", "hf:a/b@main/d/e.safetensors"),
        (
            "https://huggingface.co/a/b/resolve/v1/e.safetensors?download=true",
            "hf:a/b@v1/e.safetensors",
        ),
        ("https://evil.example/civitai.com/models/1?modelVersionId=7", None),
        ("hf:a/b", None),
        ("./a.safetensors", None),
    ],
)
def test_addresses_from_a_browser_are_understood(page: str, source: str | None) -> None:
    assert source_of_page(page) == (source or page)


def test_a_path_is_relative_where_it_lies_beside_the_catalogue(tmp_path: Path) -> None:
    file = tmp_path / "models" / "a.safetensors"
    file.parent.mkdir()
    file.touch()
    assert local_source(file, tmp_path) == "./models/a.safetensors"
    assert local_source(file, tmp_path / "elsewhere") == str(file)
    with pytest.raises(WeightsMissing, match="nothing at"):
        local_source(tmp_path / "b", tmp_path)


def test_what_the_publisher_tells_comes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "42.safetensors"
    files.save(file, files.kohya_tensors(files.attention_places()), {"modelspec.title": "other"})
    plan = Plan("civitai:42", file, (), "Inky v1.0", "mit", ("ink",), "Illustrious")
    entry = describe(file, "civitai:42", plan)
    assert entry.id == "inky-v1-0"
    assert entry.sections[0] == "adapters"
    assert entry.fields == {
        "name": "Inky v1.0",
        "source": "civitai:42",
        "kind": "lora",
        "trigger_words": ["ink"],
        "lineage": "Illustrious",
        "license": "mit",
    }


def test_guessed_trigger_words_are_shown_not_written(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    tags = {"ss_tag_frequency": '{"set": {"mira": 30, "1girl": 40}}'}
    files.save(file, files.kohya_tensors(files.attention_places()), tags)
    entry = describe(file, "./a.safetensors", None)
    assert "trigger_words" not in entry.fields
    assert "mira" in entry.notes[0]


@pytest.mark.parametrize(
    ("resolution", "size"),
    [("832x1216", [832, 1216]), ("1024", [1024, 1024]), ("1000x1001", [1024, 1024]), ("9x9", [1024, 1024])],
)
def test_a_checkpoint_s_size_is_one_that_can_be_drawn(
    tmp_path: Path, resolution: str, size: list[int]
) -> None:
    file = tmp_path / "a.safetensors"
    save_file({CROSS: torch.zeros(8, 2048)}, file, {"modelspec.resolution": resolution})
    entry = describe(file, "./a.safetensors", None)
    assert (entry.sections, entry.fields["size"]) == (("models",), size)


@pytest.mark.parametrize(
    ("name", "width", "reason"),
    [
        (CROSS, 768, "Stable Diffusion 1.5"),
        (CROSS, 1024, "Stable Diffusion 2"),
        (CROSS, 1280, "refiner"),
        ("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight", 2048, "alone"),
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", 3072, "Flux"),
    ],
)
def test_what_is_not_for_sdxl_or_not_whole_is_refused_by_name(
    tmp_path: Path, name: str, width: int, reason: str
) -> None:
    file = tmp_path / "a.safetensors"
    tensors = {name: torch.zeros(8, width)}
    if ".lora_down" in name:
        tensors[name.replace("lora_down", "lora_up")] = torch.zeros(width, 8)
    save_file(tensors, file)
    with pytest.raises(InvalidRequest, match=reason):
        describe(file, "./a.safetensors", None)
