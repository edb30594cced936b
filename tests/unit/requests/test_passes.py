"""What a request may ask of starting pictures and of a second pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import GenerationRequest, Hires, Setup
from ecurie.errors import InvalidRequest
from ecurie.images.infotext import write_infotext
from ecurie.images.uploads import UploadLimits
from ecurie.requests.body import GenerateBody
from ecurie.requests.passes import size_for
from ecurie.requests.pictures import PictureSource, picture_at
from ecurie.requests.resolve import resolve
from tests.unit.images.pictures import plain

SETUP = Setup("cpu", "float32", "EulerDiscreteScheduler", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plain(100, 68).save(tmp_path / "init.png")
    plain(100, 68, "white").save(tmp_path / "mask.png")
    plain(50, 34, "white").save(tmp_path / "half.png")
    plain(64, 64, "white").save(tmp_path / "square.png")
    plain(100, 68, (90, 90, 90)).save(tmp_path / "dark.png")
    return tmp_path


def asked(folder: Path, max_pixels: int = 200 * 200, **fields: Any) -> GenerationRequest:
    def find(text: str, field: str) -> Any:
        return picture_at(str(folder / text), field, UploadLimits(10**9, 10**9))

    body = GenerateBody(**{"prompt": "red apple", "seed": 7} | fields)
    return resolve(body, Catalog(BUILTIN["demo"], folder), max_pixels, PictureSource(find))


INIT = {"init_image": "init.png"}


def test_a_picture_gives_its_size_in_eights(folder: Path) -> None:
    request = asked(folder, **INIT)
    assert (request.width, request.height) == (96, 64)
    assert request.init is not None
    assert (request.init.strength, request.init.resize, request.init.mask) == (0.75, "crop", None)
    other = asked(folder, **INIT, width=64, height=128)
    assert (other.width, other.height) == (64, 128)


@pytest.mark.parametrize(
    ("size", "most", "expected"),
    [
        ((64, 64), 10**6, (64, 64)),
        ((100, 68), 10**6, (96, 64)),
        ((1020, 1020), 1024**2, (1024, 1024)),
        ((4000, 3000), 1024**2, (1176, 880)),
        ((1, 1), 10**6, (64, 64)),
        ((50_000, 10), 10**6, (8192, 64)),
    ],
)
def test_a_size_that_can_be_drawn(size: tuple[int, int], most: int, expected: tuple[int, int]) -> None:
    width, height = size_for(*size, most)
    assert (width, height) == expected
    assert width * height <= most


@pytest.mark.parametrize("mask", ["mask.png", "half.png"])
def test_a_mask_of_the_same_shape_is_taken(folder: Path, mask: str) -> None:
    init = asked(folder, **INIT, mask=mask).init
    assert init is not None
    assert init.mask is not None
    assert init.mask_blur == 4


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"mask": "mask.png"}, "mask", "init_image"),
        ({"strength": 0.5}, "strength", "init_image"),
        ({"resize": "crop"}, "resize", "init_image"),
        ({"mask_blur": 3.0}, "mask_blur", "init_image"),
        (INIT | {"mask_blur": 3.0}, "mask_blur", "no mask"),
        (INIT | {"mask": "square.png"}, "mask", "100x68"),
        (INIT | {"mask": "dark.png"}, "mask", "white"),
        (INIT | {"mask": "nothing.png"}, "mask", "cannot be read"),
        (INIT | {"hires": {}}, "hires", "already"),
        (INIT | {"strength": 0.0}, "strength", "less than one"),
        (INIT | {"strength": 0.09, "steps": 10}, "strength", "0.09 of 10"),
        ({"hires": {"strength": 0.01}}, "hires.strength", "0.01 of 30"),
        ({"hires": {"scale": 4}}, "hires", "256x256"),
        ({"hires": {"width": 64, "height": 56 + 8}, "width": 72}, "hires.width", "smaller"),
        ({"hires": {"steps": 60}, "scheduler": "lcm"}, "hires.steps", "at most 50"),
        (INIT | {"width": 256, "height": 256}, "width", "65,536"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(
    folder: Path, fields: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        asked(folder, **fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "fields",
    [
        {"strength": 1.1},
        {"strength": -0.1},
        {"strength": float("nan")},
        {"resize": "pad"},
        {"mask_blur": 65.0},
        {"hires": {"scale": 0.9}},
        {"hires": {"scale": 4.1}},
        {"hires": {"strength": 0.0}},
        {"hires": {"width": 128}},
        {"hires": {"width": 130, "height": 128}},
        {"hires": {"upscaler": "esrgan"}},
        {"hires": {"denoise": 1}},
        {"hires": {"steps": 0}},
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GenerateBody(**{"prompt": "x", "init_image": "init.png"} | fields)


def test_hires_is_settled_and_counted(folder: Path) -> None:
    request = asked(folder, width=72, steps=10, num_images=2, hires={"scale": 1.5})
    assert request.hires == Hires(112, 96, 10, 0.5, "lanczos")
    assert (request.width, request.height, request.final_size) == (72, 64, (112, 96))
    assert request.total_steps == 2 * (10 + 5)
    exact = asked(folder, hires={"width": 128, "height": 64, "steps": 8, "upscaler": "latent"})
    assert exact.hires == Hires(128, 64, 8, 0.5, "latent")
    assert asked(folder, **INIT, steps=10, strength=0.39).total_steps == 3


def test_other_tools_read_what_was_done(folder: Path) -> None:
    line = write_infotext(asked(folder, **INIT, mask="mask.png", strength=0.6), 7, SETUP)
    assert (
        "Size: 96x64, Model: sdxl-base, Denoising strength: 0.6, Clip skip: 2, RNG: CPU, Mask blur: 4" in line
    )
    line = write_infotext(asked(folder, hires={"scale": 1.5, "steps": 8}), 7, SETUP)
    assert "Size: 64x64, Model: sdxl-base, Denoising strength: 0.5" in line
    assert "Hires upscale: 1.5, Hires steps: 8, Hires upscaler: Lanczos" in line
    line = write_infotext(asked(folder, hires={"width": 128, "height": 64, "upscaler": "latent"}), 7, SETUP)
    assert "Hires resize: 128x64, Hires steps: 30, Hires upscaler: Latent" in line


def test_a_phone_s_picture_is_measured_upright(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain(128, 64).save(folder / "phone.jpg", exif=exif)
    request = asked(folder, init_image="phone.jpg")
    assert (request.width, request.height) == (64, 128)
