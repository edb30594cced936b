from __future__ import annotations

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from ecurie.engine.loader import Model
from ecurie.engine.prompts import encode
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
