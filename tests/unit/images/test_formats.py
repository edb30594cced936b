"""What is written into PNG, WebP and JPEG files, read back by others and by us."""

from __future__ import annotations

import dataclasses
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sd_parsers.extractors._jpeg_usercomment as sd_exif
from PIL import Image
from sd_parsers import ParserManager

from ecurie.domain import AdapterUse, GenerationRequest
from ecurie.images.exif import MAKER_NOTE, USER_COMMENT, read_exif, user_comment, write_exif
from ecurie.images.files import OutputFolder, provenance_of
from ecurie.images.infotext_reading import read_infotext
from ecurie.images.reading import ImageText, read_text
from ecurie.images.storage import LocalFolder
from tests.unit.images.test_infotext import SETUP
from tests.unit.jobs.test_store import REQUEST

FORMATS = ("png", "webp", "jpeg")
SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}
PICTURE = Image.radial_gradient("L").resize((64, 64)).convert("RGB")


def saved(folder: Path, picture: Image.Image = PICTURE, **fields: Any) -> tuple[Path, GenerationRequest]:
    request = dataclasses.replace(REQUEST, num_images=1, **fields)
    outputs = OutputFolder(LocalFolder(folder), "job", datetime.now(UTC))
    return folder / outputs.save(picture, request, 0, SETUP).filename, request


def read(file: Path) -> ImageText:
    return read_text(file.read_bytes())


@pytest.mark.parametrize("image_format", FORMATS)
def test_each_format_is_what_its_name_says(image_format: str, tmp_path: Path) -> None:
    file, _ = saved(tmp_path, format=image_format)
    assert file.suffix == SUFFIXES[image_format]
    with Image.open(file) as picture:
        picture.load()
        assert (picture.format, picture.size, picture.mode) == (image_format.upper(), (64, 64), "RGB")


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("prompt", ["red apple", '(猫:1.2) \N{ROCKET}, a: b\nsecond "line"', "é" * 10_000])
def test_both_texts_come_back_whole(image_format: str, prompt: str, tmp_path: Path) -> None:
    file, request = saved(tmp_path, format=image_format, prompt=prompt, final_prompt=prompt)
    wanted, found = provenance_of(request, 0, SETUP), read(file)
    assert (found.parameters, found.manifest) == (wanted.parameters, wanted.manifest)
    assert (found.format, found.width, found.height) == (image_format, 64, 64)


@pytest.mark.parametrize("image_format", FORMATS)
def test_sd_parsers_reads_it(image_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It remembers the last image by its id, which Python may give to the next one.
    monkeypatch.setattr(sd_exif, "_image_id", None)
    use = AdapterUse("ink", "/x", "c3" * 32, "d4" * 6, unet=0.5, text_encoder=0.5)
    file, _ = saved(
        tmp_path,
        format=image_format,
        prompt="猫, red",
        final_prompt="猫, red",
        negative_prompt="blurry",
        scheduler="dpmpp-2m-karras",
        adapters=(use,),
    )
    found = ParserManager().parse(file)
    assert found is not None
    assert found.generator.value == "AUTOMATIC1111"
    (sampler,) = found.samplers
    assert sampler.name == "DPM++ 2M"
    assert sampler.parameters == {"scheduler": "Karras", "cfg_scale": "7.5", "seed": "7", "steps": "30"}
    assert sampler.model is not None
    assert (sampler.model.name, sampler.model.hash) == ("sdxl-base", "a1a1a1a1a1")
    assert [prompt.value for prompt in found.prompts] == ["猫, red <lora:ink:0.5>"]
    assert [prompt.value for prompt in found.negative_prompts] == ["blurry"]
    assert found.metadata["Size"] == "64x64"
    assert found.metadata["Hashes"] == {"model": "a1a1a1a1a1", "lora:ink": "c3c3c3c3c3"}


@pytest.mark.parametrize("image_format", ["webp", "jpeg"])
def test_pillow_and_a1111_s_reader_find_the_comment(image_format: str, tmp_path: Path) -> None:
    """piexif, which A1111 uses, takes the eight bytes away and decodes the rest as UTF-16-BE."""
    file, request = saved(tmp_path, format=image_format)
    with Image.open(file) as picture:
        comment = picture.getexif().get_ifd(0x8769)[USER_COMMENT]
    assert comment[:8] == b"UNICODE\0"
    assert comment[8:].decode("utf-16-be") == provenance_of(request, 0, SETUP).parameters


def test_a_jpeg_holds_any_prompt_and_its_settings_always(tmp_path: Path) -> None:
    """EXIF ends at 64 kB: the prompts there end early, the manifest goes on in more segments."""
    long = "\N{ROCKET}猫" * 5_000
    file, request = saved(
        tmp_path, format="jpeg", prompt=long, final_prompt=long, tagged_prompt=long, negative_prompt=long
    )
    found = read(file)
    assert found.manifest == provenance_of(request, 0, SETUP).manifest
    assert len(found.manifest.encode()) > 2 * 65_000
    infotext = read_infotext(found.parameters or "")
    assert infotext.settings["Seed"] == "7"
    for text in (infotext.prompt, infotext.negative_prompt):
        assert len(text) > 9_000
        assert long.startswith(text)


@pytest.mark.parametrize("image_format", FORMATS)
def test_nothing_is_told_where_that_was_asked(image_format: str, tmp_path: Path) -> None:
    file, _ = saved(tmp_path, format=image_format, metadata=False)
    assert read(file) == ImageText(image_format, 64, 64, None, None)
    for trace in (b"red apple", b"ecurie", "red".encode("utf-16-be"), b"Exif"):
        assert trace not in file.read_bytes()


def pixels(file: Path) -> bytes:
    with Image.open(file) as picture:
        return picture.convert("RGB").tobytes()


def test_quality_is_that_of_the_lossy_formats(tmp_path: Path) -> None:
    sizes = {}
    for image_format in FORMATS:
        for quality in (20, 90, 100):
            folder = tmp_path / f"{image_format}{quality}"
            file, _ = saved(folder, format=image_format, quality=quality)
            sizes[image_format, quality] = len(pixels(file)), file.stat().st_size, pixels(file)
    exact = PICTURE.tobytes()
    assert {quality: sizes["png", quality][2] == exact for quality in (20, 100)} == {20: True, 100: True}
    assert sizes["webp", 100][2] == exact != sizes["webp", 90][2]
    for image_format in ("webp", "jpeg"):
        assert sizes[image_format, 20][1] < sizes[image_format, 90][1]


@pytest.mark.parametrize("length", [0, 3, 4, 5, 70_000])
def test_an_exif_block_is_read_as_it_was_written(length: int) -> None:
    values = {USER_COMMENT: user_comment("x" * 10), MAKER_NOTE: b"m" * length}
    block = write_exif(values)
    assert read_exif(block) == values
    exif = Image.Exif()
    exif.load(block)
    assert exif.get_ifd(0x8769)[USER_COMMENT] == values[USER_COMMENT]


def test_a_comment_of_other_tools_is_read() -> None:
    """Little-endian, as Windows' programs write it; ASCII; and by Pillow itself."""
    for comment in (b"UNICODE\0" + "a b".encode("utf-16-le"), b"ASCII\0\0\0a b", b"UNICODE\0\0a\0 \0b"):
        stream = io.BytesIO()
        PICTURE.save(stream, format="WEBP", exif=write_exif({USER_COMMENT: comment}))
        assert read_text(stream.getvalue()).parameters == "a b"
    exif = Image.Exif()
    exif.get_ifd(0x8769)[USER_COMMENT] = b"ASCII\0\0\0a b"
    stream = io.BytesIO()
    PICTURE.save(stream, format="JPEG", exif=exif)
    assert read_text(stream.getvalue()).parameters == "a b"


def test_a_manifest_holds_no_place_and_no_time(tmp_path: Path) -> None:
    use = AdapterUse("ink", "/secret/x", "c3" * 32, "d4" * 6, unet=1, text_encoder=1, stamp=(1, 2))
    file, _ = saved(tmp_path, adapters=(use,), vae_path="/secret/vae", base_path="/secret/base")
    text = read(file).manifest or ""
    assert "/secret" not in text
    assert "/models" not in text
    request = json.loads(text)["request"]
    assert {"file", "stamp"}.isdisjoint(request["adapters"][0])
    assert request["adapters"][0]["sha256"] == "c3" * 32
