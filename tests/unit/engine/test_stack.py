"""A request's stack on the engine: tags, blocks, unfitting files, and stacks of many adapters."""

from __future__ import annotations

import dataclasses
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import GenerationRequest, JobResult, Unmatched
from ecurie.engine.engine import Engine
from ecurie.errors import AdapterInvalid, AdapterMismatch
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.requests.body import GenerateBody
from ecurie.requests.resolve import resolve
from tests.unit.adapters import files
from tests.unit.conftest import ignore

COUNT = 8


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The demo catalogue with eight adapters in the folder, and some that do not fit."""
    models = tmp_path_factory.mktemp("models")
    folder = models / "adapters"
    folder.mkdir()
    places = files.attention_places()
    for number in range(COUNT):
        tensors = files.kohya_tensors(places[number::4], seed=number)
        files.save(folder / f"style {number}.safetensors", tensors)
    tensors = files.kohya_tensors(places[:3])
    strange = torch.zeros(4, 4)
    files.save(folder / "odd.safetensors", tensors | {"lora_unet_nothing.lora_up.weight": strange})
    tensors[next(key for key in tensors if "lora_up" in key)].fill_(float("nan"))
    files.save(folder / "nan.safetensors", tensors)
    return Catalog(BUILTIN["demo"], models)


def asked(catalog: Catalog, prompt: str, **fields: Any) -> GenerationRequest:
    body = {"prompt": prompt, "seed": 7, "steps": 2, **fields}
    return resolve(GenerateBody(**body), catalog, 10**9)


def drawn(engine: Engine, folder: Path, request: GenerationRequest) -> tuple[np.ndarray, JobResult, str]:
    outputs = OutputFolder(LocalFolder(folder), "job", datetime.now(UTC))
    result = engine.run(request, outputs, ignore)
    with Image.open(folder / result.images[0].filename) as picture:
        return np.asarray(picture), result, picture.text["parameters"]  # type: ignore[attr-defined]


def test_a_tag_draws_what_the_lora_draws_and_is_kept_in_the_infotext(
    engine: Engine, catalog: Catalog, tmp_path: Path
) -> None:
    plain, _, _ = drawn(engine, tmp_path, asked(catalog, "red apple"))
    lora = {"name": "style-0", "text_encoder": 0.8, "unet": 0.5}
    listed, _, text = drawn(engine, tmp_path, asked(catalog, "red apple", loras=[lora]))
    assert text.splitlines()[0] == "red apple <lora:style-0:0.8:0.5>"
    prompt = "red apple <lora:style 0:0.8:0.5>"
    tagged, result, text = drawn(engine, tmp_path, asked(catalog, prompt))
    assert np.array_equal(tagged, listed)
    assert not np.array_equal(tagged, plain)
    assert text.splitlines()[0] == prompt
    assert result.report.weights_written == 0


@pytest.mark.parametrize("blocks", [{"IN": 0.5, "M00": 0}, [1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]])
def test_blocks_change_the_picture_and_are_reported(
    engine: Engine, catalog: Catalog, tmp_path: Path, blocks: Any
) -> None:
    whole, _, _ = drawn(engine, tmp_path, asked(catalog, "red apple", loras=[{"name": "style-0"}]))
    lora = {"name": "style-0", "blocks": blocks}
    other, result, _ = drawn(engine, tmp_path, asked(catalog, "red apple", loras=[lora]))
    assert not np.array_equal(whole, other)
    assert result.report.adapters[0].blocks["IN04"] == (0.5 if isinstance(blocks, dict) else 0)
    ones = asked(catalog, "red apple", loras=[{"name": "style-0", "blocks": [1] * 20}])
    again, result, _ = drawn(engine, tmp_path, ones)
    assert np.array_equal(again, whole)
    assert result.report.adapters[0].blocks == {}


def test_eight_adapters_in_any_order_draw_the_same_bits(
    engine: Engine, catalog: Catalog, tmp_path: Path
) -> None:
    dice = random.Random(3)
    loras = [{"name": f"style-{n}", "unet": 0.1 * n - 0.3, "text_encoder": 0.2} for n in range(COUNT)]
    loras[2]["blocks"] = {"OUT": 0.3}
    pictures = []
    for _ in range(4):
        dice.shuffle(loras)
        drawn(engine, tmp_path, asked(catalog, "red apple"))
        picture, result, _ = drawn(engine, tmp_path, asked(catalog, "red apple", loras=loras))
        assert [report.name for report in result.report.adapters] == [lora["name"] for lora in loras]
        assert result.report.weights_written > 0
        pictures.append(picture)
    assert all(np.array_equal(pictures[0], picture) for picture in pictures)


def test_the_same_adapter_twice_adds(engine: Engine, catalog: Catalog, tmp_path: Path) -> None:
    twice, _, _ = drawn(engine, tmp_path, asked(catalog, "apple <lora:style-0:0.5>, <lora:style-0:0.25>"))
    once, _, _ = drawn(engine, tmp_path, asked(catalog, "apple <lora:style-0:0.75>"))
    half, _, _ = drawn(engine, tmp_path, asked(catalog, "apple <lora:style-0:0.25>"))
    assert np.abs(twice.astype(int) - once).max() <= 1
    assert np.abs(twice.astype(int) - half).max() > 1


def test_a_file_that_fits_in_part_is_applied_in_part_and_strict_stays_strict(
    engine: Engine, catalog: Catalog, tmp_path: Path
) -> None:
    """The reading without strictness must not answer a strict request from memory."""
    loose = asked(catalog, "red apple", loras=[{"name": "odd", "strict": False}])
    _, result, _ = drawn(engine, tmp_path, loose)
    (report,) = result.report.adapters
    assert report.unmatched == Unmatched(1, ("lora_unet_nothing.lora_up.weight",), 0, ())
    assert report.modules == 3
    with pytest.raises(AdapterMismatch, match="lora_unet_nothing"):
        asked(catalog, "red apple", loras=[{"name": "odd"}])
    (use,) = loose.adapters
    strict = dataclasses.replace(loose, adapters=(dataclasses.replace(use, strict=True),))
    with pytest.raises(AdapterMismatch, match="lora_unet_nothing"):
        drawn(engine, tmp_path, strict)


def test_nan_is_refused_without_strictness_too(engine: Engine, catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(AdapterInvalid, match="NaN"):
        drawn(engine, tmp_path, asked(catalog, "red apple", loras=[{"name": "nan", "strict": False}]))
