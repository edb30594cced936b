"""What a body's prompts become: syntaxes, wildcards and embeddings, settled when the request is sent."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ecurie.catalog.catalog import Catalog
from ecurie.catalog.embeddings import list_embeddings
from ecurie.domain import GenerationRequest, Setup
from ecurie.errors import InvalidRequest, RequestError
from ecurie.formats.hashes import auto_v3_of, sha256_of
from ecurie.images.infotext import write_infotext
from ecurie.images.manifest import manifest_of
from ecurie.requests.body import GenerateBody
from ecurie.requests.describe import describe
from ecurie.requests.preview import Preview, preview_of
from ecurie.requests.resolve import resolve
from tests.unit.adapters import files

CATALOGUE = """
defaults: {model: base}
models:
  base: {name: Base, source: "demo:sdxl-base", default_negative: "(worst quality:1.4)"}
  pony: {name: Pony, source: "demo:sdxl-base", prompt_prefix: "(score_9:1.2), good", clip_skip: 3}
  plain: {name: Plain, source: "demo:sdxl-base", prompt_prefix: "score_9, good"}
adapters:
  neon: {name: Neon, source: ./neon.safetensors, trigger_words: ["(neon:1.1)"]}
  told: {name: Told, source: ./told.safetensors}
"""


def sdxl_embedding(vectors: int = 2, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(vectors, 32, generator=generator) for name in ("clip_l", "clip_g")}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    (tmp_path / "ecurie.yaml").write_text(CATALOGUE)
    lora = files.kohya_tensors(files.attention_places()[:2])
    files.save(tmp_path / "neon.safetensors", lora)
    files.save(tmp_path / "told.safetensors", lora, {"modelspec.trigger_phrase": "mira [heroine] (x)"})
    for folder in ("models/embeddings", "wildcards"):
        (tmp_path / folder).mkdir(parents=True)
    folder = tmp_path / "models" / "embeddings"
    save_file(sdxl_embedding(), folder / "bad-hands_5.safetensors")
    save_file(sdxl_embedding(3, seed=2), folder / "my style.safetensors")
    save_file({"emb_params": torch.zeros(4, 768)}, folder / "easynegative.safetensors")
    save_file({"clip_l": torch.zeros(2, 32)}, folder / "half.safetensors")
    save_file(sdxl_embedding() | {"more": torch.zeros(1)}, folder / "more.safetensors")
    save_file({name: torch.zeros(2, 768) for name in ("clip_l", "clip_g")}, folder / "wide.safetensors")
    (folder / "pickled.pt").write_bytes(b"\x80\x02}q\x00.")
    (folder / "binary.bin").write_bytes(b"PK\x03\x04")
    (tmp_path / "wildcards" / "animal.txt").write_text("cat\ndog\nfox\n")
    return Catalog(tmp_path / "ecurie.yaml", tmp_path / "models", wildcards_dir=tmp_path / "wildcards")


def asked(catalog: Catalog, prompt: str, **fields: Any) -> GenerationRequest:
    return resolve(GenerateBody(prompt=prompt, **fields), catalog, 10**9)


def shown(catalog: Catalog, prompt: str, **fields: Any) -> Preview:
    return preview_of(asked(catalog, prompt, **fields))


def words(found: Preview) -> list[list[tuple[str, float]]]:
    """The tokens of every chunk of the prompt, which both encoders have alike."""
    first, second = found.prompt.text_encoders.values()
    chunks = [[(token.text, round(token.weight, 3)) for token in chunk.tokens] for chunk in first.chunks]
    assert [[token.text for token in chunk.tokens] for chunk in second.chunks] == [
        [text for text, _ in chunk] for chunk in chunks
    ]
    return chunks


@pytest.mark.parametrize(
    ("prompt", "fields", "syntaxes"),
    [
        ("cat", {"negative_prompt": ""}, ("compel", "compel")),
        ("(cat:1.2)", {}, ("a1111", "a1111")),
        ("cat++", {}, ("compel", "a1111")),
        ("cat++", {"prompt_syntax": "a1111"}, ("a1111", "a1111")),
        ("a [cat]", {"prompt_syntax": "compel", "negative_prompt": ""}, ("compel", "compel")),
    ],
)
def test_the_request_keeps_the_syntax_and_shows_what_gives_it_again(
    catalog: Catalog, prompt: str, fields: dict[str, Any], syntaxes: tuple[str, str]
) -> None:
    request = asked(catalog, prompt, **fields)
    assert (request.prompt_syntax, request.negative_syntax) == syntaxes
    assert resolve(GenerateBody(**describe(request)), catalog, 10**9) == request
    assert manifest_of(request, 0, SETUP).request["prompt_syntax"] == syntaxes[0]


SETUP = Setup("cpu", "float32", "Euler", {})


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"prompt": "(a:1.2) b++"}, "prompt", "two syntaxes"),
        ({"prompt": "[a|b]"}, "prompt", "alternation"),
        ({"prompt": "a", "negative_prompt": "[a:b:3]"}, "negative_prompt", "prompt editing"),
        ({"prompt": "a.swap(b)", "negative_prompt": ""}, "prompt", "swap"),
        ({"prompt": "(a:-1)"}, "prompt", "below 0"),
        ({"prompt": "a++", "model": "pony"}, "prompt", "two syntaxes"),
        ({"prompt": "{a"}, "prompt", "never closed"),
        ({"prompt": "a", "negative_prompt": "__nope__"}, "negative_prompt", "no wildcard 'nope'"),
        ({"prompt": "{|}"}, "prompt", "drew nothing"),
    ],
)
def test_what_cannot_be_read_is_refused_when_it_is_sent(
    catalog: Catalog, fields: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        resolve(GenerateBody(**fields), catalog, 10**9)
    assert caught.value.field == field


def test_the_prefix_is_joined_in_the_syntax_of_the_prompt(catalog: Catalog) -> None:
    found = shown(catalog, "[cat]", model="pony")
    assert (found.prompt.syntax, found.clip_skip) == ("a1111", 3)
    assert words(found)[0][0] == ("score", 1.2)
    assert words(found)[0][-1] == ("cat", 0.909)
    assert words(shown(catalog, "cat", model="pony"))[0][0] == ("score", 1.2), "its marks tell, too"
    found = shown(catalog, "(cat)1.3", model="plain")
    assert (found.prompt.syntax, words(found)[0][-1]) == ("compel", ("cat", 1.3))
    assert words(found)[0][0] == ("score", 1)
    without = asked(catalog, "cat++", model="pony", prompt_prefix=False)
    assert without.final_prompt == "cat++"


def test_triggers_come_in_the_syntax_of_the_prompt(catalog: Catalog) -> None:
    loras = [{"name": "neon"}, {"name": "told"}]
    found = shown(catalog, "(cat:1.2)", loras=loras)
    assert found.prompt.text == r"(cat:1.2), (neon:1.1), mira \[heroine\] \(x\)"
    assert "".join(text for text, _ in words(found)[0]).endswith("mira[heroine](x)")
    assert [(one.text, one.adapter, one.source) for one in found.triggers] == [
        ("(neon:1.1)", "neon", "catalogue"),
        (r"mira [heroine] \(x\)", "told", "modelspec.trigger_phrase"),
    ]


def test_wildcards_are_drawn_once_from_the_seed(catalog: Catalog) -> None:
    template = "a {red|blue} __animal__ <lora:{neon|told}:0.5>"
    request = asked(catalog, template, negative_prompt="{x|y}", seed=5, num_images=2)
    assert request.prompt_template == template
    assert (request.negative_template, request.wildcards) == ("{x|y}", False)
    assert len(request.adapters) == 1
    assert "{" not in request.prompt + request.final_prompt + request.negative_prompt
    assert asked(catalog, template, negative_prompt="{x|y}", seed=5, num_images=2) == request
    drawn = {asked(catalog, template, seed=seed).final_prompt for seed in range(20)}
    assert len(drawn) > 6


def test_a_drawn_request_is_made_again_without_the_files(catalog: Catalog, tmp_path: Path) -> None:
    request = asked(catalog, r"a __animal__ \{x\}", seed=5)
    assert request.final_prompt.endswith(" {x}")
    (tmp_path / "wildcards" / "animal.txt").unlink()
    again = resolve(GenerateBody(**describe(request) | {"seed": 6}), catalog, 10**9)
    assert again.final_prompt == request.final_prompt
    told = manifest_of(request, 0, SETUP).request
    assert told["prompt_template"] == r"a __animal__ \{x\}"
    assert told["final_prompt"] == request.final_prompt


def test_a_seed_that_draws_is_the_request_s_own(catalog: Catalog) -> None:
    for _ in range(3):
        request = asked(catalog, "{a|b|c|d|e|f|g|h}")
        again = asked(catalog, "{a|b|c|d|e|f|g|h}", seed=request.seed)
        assert again.final_prompt == request.final_prompt
    assert asked(catalog, "{a|b}", wildcards=False).final_prompt == "{a|b}"


@pytest.mark.parametrize(
    "prompt",
    [
        "cat, bad-hands_5",
        "cat, embedding:bad-hands_5",
        "cat, (embedding:bad-hands_5:1.2)",
        "cat, (BAD-hands_5)++",
        "cat, embedding:bad-hands_5.safetensors, dog",
        "cat, Embedding:Bad-Hands_5.pt",
    ],
)
def test_an_embedding_is_named_as_a_word(catalog: Catalog, tmp_path: Path, prompt: str) -> None:
    request = asked(catalog, prompt, negative_prompt="")
    file = tmp_path / "models" / "embeddings" / "bad-hands_5.safetensors"
    (use,) = request.embeddings
    assert (use.name, use.file, use.vectors) == ("bad-hands_5", str(file), 2)
    assert (use.sha256, use.auto_v3) == (sha256_of(file), auto_v3_of(file))
    assert "embedding:" not in request.final_prompt.casefold()
    assert f'TI hashes: "bad-hands_5: {use.auto_v3}"' in write_infotext(request, 1, SETUP)
    assert str(tmp_path) not in manifest_of(request, 0, SETUP).to_json()
    found = preview_of(request)
    tokens = [token for chunk in found.prompt.text_encoders["text_encoder"].chunks for token in chunk.tokens]
    assert [token.text for token in tokens if token.id is None] == ["bad-hands_5"] * 2
    assert found.embeddings[0].sha256 == use.sha256
    assert resolve(GenerateBody(**describe(request)), catalog, 10**9).embeddings == request.embeddings


def test_embeddings_of_the_negative_prompt_and_of_several_words_are_found(catalog: Catalog) -> None:
    request = asked(catalog, "a My Style cat", negative_prompt="bad-hands_5, embedding:my style")
    assert [use.name for use in request.embeddings] == ["bad-hands_5", "my style"]
    assert request.negative_prompt == "bad-hands_5, my style"
    assert asked(catalog, "bad-hands_55 stylemy style", negative_prompt="").embeddings == ()


@pytest.mark.parametrize(
    ("name", "reason", "remedy"),
    [
        ("easynegative", "no embedding for SDXL.*Stable Diffusion 1", "trained for SDXL"),
        ("half", "with only clip_l", "trained for SDXL"),
        ("more", "no embedding for SDXL", "trained for SDXL"),
        ("wide", "is 2×768, but text_encoder takes n×32", "trained for SDXL"),
        ("pickled", r"pickled\.pt is a pickle, which can run code", "safetensors"),
        ("binary", r"binary\.bin is a pickle", "safetensors"),
        ("embedding:nope", "no embedding 'nope'", "bad-hands_5"),
        ("(embedding:nope:1.2)", "no embedding 'nope'", "bad-hands_5"),
    ],
)
def test_an_embedding_that_cannot_be_used_is_refused_when_it_is_named(
    catalog: Catalog, name: str, reason: str, remedy: str
) -> None:
    for field in ("prompt", "negative_prompt"):
        fields = {"prompt": "cat", "negative_prompt": ""} | {field: f"a {name}, b"}
        with pytest.raises(RequestError, match=reason) as caught:
            resolve(GenerateBody(**fields), catalog, 10**9)
        assert caught.value.field == field
        assert remedy in (caught.value.remedy or "")


def test_an_adapter_s_own_embedding_comes_before_a_file_of_its_name(catalog: Catalog, tmp_path: Path) -> None:
    lora = files.kohya_tensors(files.attention_places()[:2])
    bundled = {f"bundle_emb.my style.{key}": tensor for key, tensor in sdxl_embedding(5).items()}
    files.save(tmp_path / "neon.safetensors", lora | bundled)
    found = shown(catalog, "a my style cat", loras=[{"name": "neon"}], negative_prompt="")
    (one,) = found.embeddings
    assert (one.adapter, one.vectors, one.sha256) == ("neon", 5, None)
    without = asked(catalog, "a my style cat", loras=[{"name": "neon", "weight": 0}], negative_prompt="")
    assert [use.vectors for use in without.embeddings] == [3]


def test_the_embeddings_are_listed_with_why_one_cannot_be_used(catalog: Catalog) -> None:
    listed = {one.name: one for one in list_embeddings(catalog)}
    assert listed.keys() == {
        *("bad-hands_5", "binary", "easynegative", "half", "more", "my style", "pickled", "wide")
    }
    usable = {name for name, one in listed.items() if one.unavailable is None}
    assert usable == {"bad-hands_5", "my style"}
    assert (listed["my style"].vectors, listed["my style"].file) == (3, "my style.safetensors")
    assert "pickle" in (listed["pickled"].unavailable or "")


def test_a_preview_counts_tokens_and_chunks(catalog: Catalog) -> None:
    found = shown(catalog, "a red apple, " * 40 + "BREAK (dog:1.3)", negative_prompt="", seed=3)
    first = found.prompt.text_encoders["text_encoder"]
    assert first.tokens == 161
    assert [len(chunk.tokens) for chunk in first.chunks] == [72, 72, 16, 1]
    assert [chunk.section for chunk in first.chunks] == [0, 0, 0, 1]
    assert found.negative_prompt.zeros
    assert found.negative_prompt.text_encoders["text_encoder_2"].tokens == 0
    blend = shown(catalog, '("a cat", "a dog").blend(1, 0.5)', negative_prompt="x")
    assert [chunk.share for chunk in blend.prompt.text_encoders["text_encoder"].chunks] == [1, 0.5]
    assert not blend.negative_prompt.zeros


def test_a_replaced_embedding_is_another_request(catalog: Catalog, tmp_path: Path) -> None:
    first = asked(catalog, "my style", negative_prompt="", seed=1)
    file = tmp_path / "models" / "embeddings" / "my style.safetensors"
    save_file(sdxl_embedding(4, seed=9), file)
    second = asked(catalog, "my style", negative_prompt="", seed=1)
    assert dataclasses.replace(first, embeddings=second.embeddings) == second
    assert first.embeddings[0].sha256 != second.embeddings[0].sha256
