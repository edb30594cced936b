from __future__ import annotations

from typing import Any

import pytest
import torch
from compel import Compel, ReturnedEmbeddingsType
from compel.embeddings_provider import SplitLongTextMode
from diffusers import StableDiffusionXLPipeline

from ecurie.domain.requests import Syntax
from ecurie.engine.loader import Model
from ecurie.engine.prompts import Conditioning, encode
from ecurie.errors import InvalidRequest
from tests.conftest import DEMO_FOLDER


@pytest.fixture(scope="module")
def oracle() -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline.from_pretrained(
        DEMO_FOLDER, torch_dtype=torch.float32, add_watermarker=False
    )


@pytest.mark.parametrize("prompt", ["red apple", "a cat, a dog; it's 10% 猫 🍎", "x" * 200])
def test_embeds_of_a_plain_prompt_equal_the_pipeline_s(
    prompt: str, model: Model, oracle: StableDiffusionXLPipeline
) -> None:
    ours = encode(model, prompt, "blurry", 2)
    theirs = oracle.encode_prompt(prompt, negative_prompt="blurry")
    mine = (ours.embeds, ours.negative_embeds, ours.pooled, ours.negative_pooled)
    for tensor, expected in zip(mine, theirs, strict=True):
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6)


def test_an_empty_negative_is_the_model_s_zeros(model: Model) -> None:
    conditioning = encode(model, "red apple", "", 2)
    assert not conditioning.negative_embeds.any()
    assert not conditioning.negative_pooled.any()


@pytest.mark.parametrize(("prompt", "negative"), [("apple " * 300, ""), ("apple", "blurry, " * 100)])
def test_long_prompts_are_kept_whole_and_both_sides_have_one_length(
    prompt: str, negative: str, model: Model
) -> None:
    conditioning = encode(model, prompt, negative, 2)
    assert conditioning.embeds.shape == conditioning.negative_embeds.shape
    assert conditioning.embeds.shape[1] > 77
    assert conditioning.embeds.shape[1] % 77 == 0


def test_the_end_of_a_long_prompt_counts(model: Model) -> None:
    filler = "apple " * 100
    cat, dog = (encode(model, filler + word, "", 2).embeds for word in ("cat", "dog"))
    assert not torch.equal(cat, dog)


def test_weights_move_the_embeds(model: Model) -> None:
    plain, more, much = (
        encode(model, text, "", 2).embeds for text in ("red apple", "(red)1.2 apple", "(red)1.5 apple")
    )
    assert 0 < (more - plain).norm() < (much - plain).norm()


@pytest.mark.parametrize("prompt", ["red apple withLora(style, 0.8)", "a cat.swap(dog) on a mat"])
def test_what_compel_would_drop_is_refused(prompt: str, model: Model) -> None:
    with pytest.raises(InvalidRequest, match="cannot be applied"):
        encode(model, prompt, "", 2)


ODD_PROMPTS = [
    *("( ) (( a)b (a \" ' \\(a\\) + a++b-- () (:1) .and() a.swap(b) :-) <lora:x:1> [a] {a|b} , .").split(" "),
    *("(a)-1 (a)1e9 (a)99999999999 ((((((((((a)))))))))) a.and().blend(2)").split(" "),
    *('("a", "b").blend(1)', '("a", "b").blend(1, 0.5)', '("a", "b").and(1, 2)', '("a", "b").blend(0, 0)'),
    *("a" * 3000, "(" * 300 + "a" + ")" * 300, "((a)1.2 " * 100, '"a ' * 100),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("prompt", ODD_PROMPTS)
def test_odd_brackets_and_marks_are_encoded_or_refused_but_never_crash(prompt: str, model: Model) -> None:
    refused = None
    try:
        conditioning = encode(model, prompt, prompt, 2)
    except InvalidRequest as error:
        refused = error
    assert refused is not None or conditioning.embeds.isfinite().all()


def compel_s_own(model: Model, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeds and pooled embeds of the library alone, as SDXL takes them."""
    options: Any = {
        "returned_embeddings_type": ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED,
        "truncate_long_prompts": False,
        "split_long_text_mode": SplitLongTextMode.SENTENCES,
    }
    first, second = (
        Compel(tokenizer=tokenizer, text_encoder=encoder, **options)
        for tokenizer, encoder in zip(model.tokenizers, model.text_encoders, strict=True)
    )
    # Not by `requires_pooled`, with which compel cannot weigh the parts of an `.and()`.
    with torch.no_grad():
        pooled = second.conditioning_provider.get_pooled_embeddings([prompt])
    return torch.cat([first(prompt), second(prompt)], dim=-1), pooled


def a1111(model: Model, prompt: str, negative: str = "", syntax: Syntax = "a1111") -> Conditioning:
    return encode(model, prompt, negative, 2, syntaxes=(syntax, syntax))


SAME_MEANING = [
    ("(cat)1.3", "(cat:1.3)"),
    ("a (red apple)1.2 on a (plate)0.5, high up", "a (red apple:1.2) on a (plate:0.5), high up"),
    ("a ((cat)1.5 dog)1.2", "a ((cat:1.5) dog:1.2)"),
    ("(cat)+", "(cat)"),
    ("(cat)++ sat", "((cat)) sat"),
    (r"mira \(heroine\), (cat)0.25", r"mira \(heroine\), (cat:0.25)"),
    ("(cat)0", "(cat:0)"),
    ("(apple)1.1 " * 60, "(apple) " * 60),
]


@pytest.mark.parametrize(("ours", "theirs"), SAME_MEANING)
def test_both_syntaxes_give_compel_s_own_embeds(ours: str, theirs: str, model: Model) -> None:
    expected, pooled = compel_s_own(model, ours)
    in_compel, in_a1111 = encode(model, ours, "", 2), a1111(model, theirs)
    torch.testing.assert_close(in_compel.embeds, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(in_compel.pooled, pooled, rtol=0, atol=1e-6)
    torch.testing.assert_close(in_a1111.embeds, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "prompt", ['("a cat", "a dog").blend(1, 0.5)', '("a cat", "dog++").and(1, 0.5)', "(a cat)0.5 (dog)-1"]
)
def test_compel_s_other_forms_are_its_own(prompt: str, model: Model) -> None:
    expected, pooled = compel_s_own(model, prompt)
    got = encode(model, prompt, "", 2)
    torch.testing.assert_close(got.embeds, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(got.pooled, pooled, rtol=0, atol=1e-6)


def test_break_begins_a_chunk_that_is_encoded_apart(model: Model) -> None:
    got = a1111(model, "(red:1.3) apple BREAK blue sky", "dull")
    first, second, negative = (a1111(model, text) for text in ("(red:1.3) apple", "blue sky", "dull"))
    torch.testing.assert_close(got.embeds, torch.cat([first.embeds, second.embeds], dim=1))
    assert torch.equal(got.pooled, first.pooled)
    assert got.negative_embeds.shape == got.embeds.shape == (1, 154, 64)
    torch.testing.assert_close(got.negative_embeds[:, :77], negative.embeds)


def test_a1111_s_pooled_embeds_are_those_of_the_words(
    model: Model, oracle: StableDiffusionXLPipeline
) -> None:
    pooled = oracle.encode_prompt("a red apple")[2]
    for prompt in ("a (red:1.4) apple", "a red apple BREAK a dog"):
        torch.testing.assert_close(a1111(model, prompt).pooled, pooled, rtol=1e-5, atol=1e-6)


def test_300_tokens_with_weights_are_encoded_in_both(model: Model) -> None:
    text = "red apple on a plate, " * 60
    got = a1111(model, f"{text} (cat:1.2)")
    assert got.embeds.shape[1] >= 4 * 77
    torch.testing.assert_close(got.embeds, compel_s_own(model, f"{text} (cat)1.2")[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("prompt", [r"a \(b\) \\", 'it\'s "quoted", x++ -- .and e--', "a) b] c:1.2)"])
def test_in_a1111_s_syntax_compel_s_marks_are_letters(prompt: str, model: Model) -> None:
    words = prompt.replace("\\\\", "§").replace("\\", "").replace("§", "\\")
    plain = encode(model, "x", "", 2, syntaxes=("a1111", "a1111"))
    got = a1111(model, prompt)
    ids = model.tokenizers[0](words, padding="max_length", return_tensors="pt").input_ids
    expected = model.text_encoders[0](ids, output_hidden_states=True).hidden_states[-2]
    torch.testing.assert_close(got.embeds[..., : expected.shape[-1]], expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(got.embeds, plain.embeds)


@pytest.fixture
def passes(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, ...]]]:
    """The token ids of every pass through each text encoder."""
    seen: list[list[tuple[int, ...]]] = []
    for encoder in model.text_encoders:
        calls: list[tuple[int, ...]] = []
        original = encoder.forward

        def forward(*arguments: Any, original: Any = original, calls: Any = calls, **options: Any) -> Any:
            calls.append(tuple(arguments[0].flatten().tolist()))
            return original(*arguments, **options)

        monkeypatch.setattr(encoder, "forward", forward)
        seen.append(calls)
    return seen


@pytest.mark.parametrize(
    ("prompt", "negative", "syntax", "counts"),
    [
        ("red apple", "blurry", "compel", [2, 2]),
        ("red apple", "", "compel", [1, 1]),
        ("red apple", "red apple", "compel", [1, 1]),
        ("(red:1.3) apple", "blurry", "a1111", [3, 3]),
        ("a BREAK b BREAK c", "blurry", "a1111", [5, 5]),
        # Compel pools what was typed, marks and all: one pass more for each such text.
        ("(red)1.3 apple", "blurry", "compel", [3, 4]),
    ],
)
def test_a_text_takes_one_pass(
    prompt: str,
    negative: str,
    syntax: Syntax,
    counts: list[int],
    model: Model,
    passes: list[list[tuple[int, ...]]],
) -> None:
    a1111(model, prompt, negative, syntax)
    assert [len(calls) for calls in passes] == counts
    assert all(len(set(calls)) == len(calls) for calls in passes)
