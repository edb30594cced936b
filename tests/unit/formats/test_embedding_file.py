"""Bundled embeddings, checked from the header against the text encoders of the true SDXL."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecurie.errors import AdapterInvalid, AdapterMismatch, NotBuiltYet, RequestError
from ecurie.formats.embedding_file import EmbeddingEntry, bundled_embeddings
from ecurie.formats.inventory import Inventory, Part, Source
from ecurie.formats.safetensors_file import TensorInfo

FILE = Path("a.safetensors")


def sdxl() -> Inventory:
    def encoder(part: Part, width: int) -> dict[str, Source]:
        return {"embeddings.token_embedding": Source(Path(part), "x.weight", (49408, width))}

    return {
        "unet": {},
        "text_encoder": encoder("text_encoder", 768),
        "text_encoder_2": encoder("text_encoder_2", 1280),
    }


def read(shapes: dict[str, tuple[int, ...]], dtype: str = "F16") -> tuple[EmbeddingEntry, ...]:
    infos = {f"bundle_emb.{key}": TensorInfo(dtype, shape, 0, 0) for key, shape in shapes.items()}
    other = {"lora_unet_x.alpha": TensorInfo("F32", (), 0, 0)}
    return bundled_embeddings(FILE, infos | other, sdxl())


def test_names_vectors_and_keys_are_read() -> None:
    shapes = {
        "<s0>.clip_l": (768,),
        "<s0>.clip_g": (1, 1280),
        "v1.5.clip_g": (4, 1280),
        "v1.5.clip_l": (4, 768),
    }
    first, second = read(shapes)
    assert (first.name, first.vectors) == ("<s0>", 1)
    assert (second.name, second.vectors) == ("v1.5", 4)
    assert second.keys == {
        "text_encoder": "bundle_emb.v1.5.clip_l",
        "text_encoder_2": "bundle_emb.v1.5.clip_g",
    }


@pytest.mark.parametrize(
    ("shapes", "error", "what"),
    [
        (
            {"e.clip_l": (4, 1280), "e.clip_g": (4, 1280)},
            AdapterMismatch,
            r"4×1280, but text_encoder takes n×768",
        ),
        ({"e.clip_l": (4, 768), "e.clip_g": (4, 1024)}, AdapterMismatch, r"text_encoder_2 takes n×1280"),
        ({"e.clip_l": (1, 4, 768), "e.clip_g": (4, 1280)}, AdapterMismatch, r"1×4×768"),
        ({"e.clip_l": (), "e.clip_g": (4, 1280)}, AdapterMismatch, "a scalar"),
        ({"e.clip_l": (4, 768), "e.clip_g": (3, 1280)}, AdapterInvalid, "not as many vectors"),
        ({"e.clip_l": (0, 768), "e.clip_g": (0, 1280)}, AdapterInvalid, "0 vectors"),
        ({"e.clip_l": (76, 768), "e.clip_g": (76, 1280)}, AdapterInvalid, "76 vectors"),
        ({"e.clip_l": (4, 768)}, AdapterInvalid, "only clip_l; SDXL needs both"),
        ({"e.string_to_param.*": (4, 768)}, AdapterMismatch, "Stable Diffusion 1.5"),
        ({"e.clip_l_out": (4, 768)}, NotBuiltYet, "output embedding"),
        ({"e.t5": (4, 768)}, AdapterInvalid, "no tensor of an embedding"),
        ({" .clip_l": (4, 768)}, AdapterInvalid, "no tensor of an embedding"),
        ({"clip_l": (4, 768)}, AdapterInvalid, "no tensor of an embedding"),
    ],
)
def test_what_does_not_fit_both_text_encoders_is_refused(
    shapes: dict[str, tuple[int, ...]], error: type[RequestError], what: str
) -> None:
    with pytest.raises(error, match=what):
        read(shapes)


def test_integers_are_refused() -> None:
    with pytest.raises(AdapterInvalid, match="dtype I32"):
        read({"e.clip_l": (4, 768), "e.clip_g": (4, 1280)}, "I32")
