"""The oracle: diffusers' `load_textual_inversion`, and compel's own manager for weighted prompts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from compel import Compel, DiffusersTextualInversionManager, ReturnedEmbeddingsType
from diffusers import StableDiffusionXLPipeline
from PIL import Image
from torch import Tensor

from ecurie.adapters.embeddings import Embedding
from ecurie.domain import AdapterUse, EmbeddingUse
from ecurie.engine.engine import Engine
from ecurie.engine.loader import Model
from ecurie.engine.prompts import Conditioning, encode
from ecurie.errors import AdapterInvalid
from ecurie.formats.hashes import sha256_of
from ecurie.images.files import OutputFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.conftest import ignore, make_request

WIDTH = 32


def embedding(name: str, vectors: int, seed: int = 0) -> Embedding:
    generator = torch.Generator().manual_seed(seed)
    shape = (vectors, WIDTH)
    return Embedding(
        name,
        {
            "text_encoder": torch.randn(shape, generator=generator) * 0.3,
            "text_encoder_2": torch.randn(shape, generator=generator) * 0.3,
        },
    )


def oracle(*embeddings: Embedding) -> StableDiffusionXLPipeline:
    """A fresh pipeline of diffusers with these embeddings loaded."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        DEMO_FOLDER, torch_dtype=torch.float32, add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    for one in embeddings:
        for part, tokenizer in (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")):
            pipeline.load_textual_inversion(
                one.vectors[part],  # type: ignore[index]
                token=one.name,
                text_encoder=getattr(pipeline, part),
                tokenizer=getattr(pipeline, tokenizer),
            )
    return pipeline


def tensors(conditioning: Conditioning) -> tuple[Tensor, ...]:
    return (
        *(conditioning.embeds, conditioning.negative_embeds),
        *(conditioning.pooled, conditioning.negative_pooled),
    )


def same(one: Conditioning, other: Conditioning) -> bool:
    return all(torch.equal(*pair) for pair in zip(tensors(one), tensors(other), strict=True))


@pytest.mark.parametrize("vectors", [1, 3, 12])
@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a mystyle apple", "blurry"),
        ("mystyle, red apple mystyle.", "mystyle"),
        ("red apple", "ugly, mystyle"),
    ],
)
def test_embeds_equal_those_of_diffusers(vectors: int, prompt: str, negative: str, model: Model) -> None:
    mine = embedding("mystyle", vectors)
    got = encode(model, prompt, negative, 2, [mine])
    for tensor, expected in zip(
        tensors(got), oracle(mine).encode_prompt(prompt, negative_prompt=negative), strict=True
    ):
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6)
    assert not same(got, encode(model, prompt, negative, 2))


@pytest.mark.parametrize(
    "prompt", ["a (mystyle)1.4 apple", "mystyle++ apple", "red (apple in mystyle)0.6", "a (mystyle apple)--"]
)
def test_weighted_prompts_equal_compel_s_with_its_own_manager(prompt: str, model: Model) -> None:
    mine = embedding("mystyle", 3)
    pipeline = oracle(mine)
    expected = []
    for tokenizer, encoder in (
        (pipeline.tokenizer, pipeline.text_encoder),
        (pipeline.tokenizer_2, pipeline.text_encoder_2),
    ):
        shim = SimpleNamespace(tokenizer=tokenizer, maybe_convert_prompt=pipeline.maybe_convert_prompt)
        compel = Compel(
            tokenizer=tokenizer,
            text_encoder=encoder,
            textual_inversion_manager=DiffusersTextualInversionManager(shim),
            returned_embeddings_type=ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED,
            truncate_long_prompts=False,
        )
        expected.append(compel(prompt))
    got = encode(model, prompt, "", 2, [mine]).embeds
    torch.testing.assert_close(got, torch.cat(expected, dim=-1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "bad-hands-5",
        "<s0>",
        "ng_deepnegative_v1_75t",
        "my style",
        "v1.5",
        "x++",
        "(odd)",
        'say "cheese"',
        "猫",
        "a",
    ],
)
def test_a_name_of_any_form_is_found_as_a_word(name: str, model: Model) -> None:
    mine, plain = embedding(name, 2), embedding("zzz", 2)
    expected = encode(model, "red zzz, apple", "", 2, [plain])
    assert same(encode(model, f"red {name}, apple", "", 2, [mine]), expected)
    assert same(encode(model, f"red {name.upper()}, apple", "", 2, [mine]), expected)


def test_a_part_of_a_word_is_no_name(model: Model) -> None:
    prompt = "mystyles, a_mystyle, mystyle2"
    assert same(encode(model, prompt, "", 2, [embedding("mystyle", 2)]), encode(model, prompt, "", 2))


def test_the_longest_name_wins_and_two_embeddings_keep_apart(model: Model) -> None:
    short, long = embedding("my", 1, 1), embedding("my style", 2, 2)
    got = encode(model, "my apple, my style", "", 2, [short, long])
    named = [dataclasses.replace(short, name="one"), dataclasses.replace(long, name="two")]
    assert same(got, encode(model, "one apple, two", "", 2, named[::-1]))


def test_an_embedding_is_never_split_between_two_stretches_of_a_long_prompt(model: Model) -> None:
    """With 70 words before it, 20 vectors must all move to the second 77 tokens."""
    mine = embedding("mystyle", 20)
    got = encode(model, "apple " * 70 + "mystyle", "", 2, [mine]).embeds
    assert got.shape[1] == 154
    torch.testing.assert_close(got[:, 77:], encode(model, "mystyle", "", 2, [mine]).embeds)


def test_nothing_sticks_to_the_model(model: Model) -> None:
    mine = embedding("mystyle", 3)
    rows = [encoder.get_input_embeddings().weight.shape[0] for encoder in model.text_encoders]
    plain = encode(model, "a mystyle apple", "mystyle", 2)
    with_it = encode(model, "a mystyle apple", "mystyle", 2, [mine])
    for _ in range(3):
        assert same(encode(model, "a mystyle apple", "mystyle", 2), plain)
        assert same(encode(model, "a mystyle apple", "mystyle", 2, [mine]), with_it)
    assert rows == [encoder.get_input_embeddings().weight.shape[0] for encoder in model.text_encoders]
    assert not any(encoder.get_input_embeddings()._forward_hooks for encoder in model.text_encoders)


def test_the_pooled_token_is_the_end_of_the_text_also_where_its_id_is_configured_as_two(model: Model) -> None:
    """The published SDXL says `eos_token_id: 2`; then the greatest id is pooled: never an embedding's."""
    mine = embedding("mystyle", 2)
    usual = encode(model, "a mystyle apple", "", 2, [mine]).pooled
    text_model = getattr(model.text_encoders[1], "text_model", model.text_encoders[1])
    assert text_model.eos_token_id == 49407
    text_model.eos_token_id = 2
    try:
        published = encode(model, "a mystyle apple", "", 2, [mine]).pooled
    finally:
        text_model.eos_token_id = 49407
    torch.testing.assert_close(published, usual)


def bundle(file: Path, one: Embedding, **more: Tensor) -> Path:
    lora = files.kohya_tensors(files.attention_places()[:4])
    return files.save(
        file,
        {
            **lora,
            f"bundle_emb.{one.name}.clip_l": one.vectors["text_encoder"],
            f"bundle_emb.{one.name}.clip_g": one.vectors["text_encoder_2"],
            **more,
        },
    )


def draw(engine: Engine, outputs: OutputFolder, file: Path | None, **weights: float) -> Any:
    uses = ()
    if file is not None:
        weight = {"unet": 0.0, "text_encoder": 0.0} | weights
        uses = (AdapterUse(file.stem, str(file), sha256_of(file), "", embeddings=("mystyle",), **weight),)
    request = make_request(prompt="a mystyle apple", negative_prompt="mystyle")
    result = engine.run(dataclasses.replace(request, adapters=uses), outputs, ignore)
    if file is not None:
        assert result.report.adapters[0].embeddings == ("mystyle",)
    return np.asarray(Image.open(outputs.storage.folder / result.images[0].filename)).astype(int)


def test_a_picture_with_a_bundle_is_the_one_of_diffusers_and_leaves_the_next_alone(
    engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    mine = embedding("mystyle", 3)
    file = bundle(tmp_path / "b.safetensors", mine)
    plain, got = draw(engine, outputs, None), draw(engine, outputs, file, unet=1e-30)
    expected = oracle(mine)(
        prompt="a mystyle apple",
        negative_prompt="mystyle",
        num_inference_steps=4,
        guidance_scale=7.5,
        height=64,
        width=64,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    assert np.abs(got - np.asarray(expected).astype(int)).max() <= 1
    assert np.abs(got - plain).max() > 5
    assert np.array_equal(draw(engine, outputs, None), plain)
    assert np.array_equal(draw(engine, outputs, file, unet=1e-30), got)
    assert np.array_equal(draw(engine, outputs, file), plain), "at weight 0 its word is plain text"


def test_an_embedding_with_values_that_are_none_is_refused(
    engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    mine = embedding("mystyle", 2)
    mine.vectors["text_encoder_2"][1, 3] = torch.nan
    with pytest.raises(AdapterInvalid, match="clip_g holds NaN"):
        draw(engine, outputs, bundle(tmp_path / "n.safetensors", mine), unet=1.0)


def draw_named(engine: Engine, outputs: OutputFolder, file: Path, sha256: str) -> Any:
    use = EmbeddingUse("mystyle", str(file), sha256, "", 3)
    request = make_request(prompt="a mystyle apple", negative_prompt="mystyle")
    result = engine.run(dataclasses.replace(request, embeddings=(use,)), outputs, ignore)
    assert [(one.name, one.sha256) for one in result.report.embeddings] == [("mystyle", sha256)]
    return np.asarray(Image.open(outputs.storage.folder / result.images[0].filename)).astype(int)


def test_a_file_of_its_own_draws_as_the_bundle_does_and_must_be_the_one_that_was_sent(
    engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    mine = embedding("mystyle", 3)
    roles = {"clip_l": mine.vectors["text_encoder"], "clip_g": mine.vectors["text_encoder_2"]}
    file = files.save(tmp_path / "mystyle.safetensors", roles)
    got = draw_named(engine, outputs, file, sha256_of(file))
    assert np.array_equal(got, draw(engine, outputs, bundle(tmp_path / "b.safetensors", mine), unet=1e-30))
    with pytest.raises(AdapterInvalid, match="was replaced while the job waited"):
        draw_named(engine, outputs, file, "0" * 64)
    files.save(file, roles | {"clip_g": torch.full((3, WIDTH), torch.nan)})
    with pytest.raises(AdapterInvalid, match="clip_g holds NaN"):
        draw_named(engine, outputs, file, sha256_of(file))
