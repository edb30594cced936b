"""Bodies of the web UI's API as bodies of ours."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ecurie.api.a1111.bodies import Img2ImgBody, Txt2ImgBody
from ecurie.api.a1111.options import Chosen
from ecurie.api.a1111.translate import Work, overrides_of, work_of
from ecurie.domain import LOCAL, SEED_LIMIT, steps_done
from ecurie.errors import EcurieError
from ecurie.requests.body import GenerateBody
from ecurie.requests.pictures import NO_PICTURES
from ecurie.service import Service
from tests.unit.images.pictures import plain, saved

PICTURE = base64.b64encode(saved(plain(64, 64))).decode()


def text(**fields: Any) -> Work:
    body = Txt2ImgBody.model_validate({"prompt": "red apple", **fields})
    return work_of(body, Chosen(), NO_PICTURES)


def picture(service: Service, **fields: Any) -> Work:
    body = Img2ImgBody.model_validate({"prompt": "dog", "init_images": [PICTURE], "seed": 7, **fields})
    return work_of(body, Chosen(), service.picture_source(LOCAL))


def only(work: Work) -> GenerateBody:
    (body,) = work.bodies
    return body


def test_what_is_not_given_is_as_in_the_web_ui() -> None:
    work = text()
    body = only(work)
    assert (body.steps, body.guidance_scale, body.width, body.height) == (50, 7.0, 512, 512)
    assert (body.scheduler, body.negative_prompt, body.num_images, body.hires) == ("euler", "", 1, None)
    assert (body.model, body.clip_skip, body.format) == (None, None, "png")
    assert (body.prompt_syntax, body.wildcards) == ("a1111", False)
    assert body.seed is not None
    assert 0 <= body.seed < SEED_LIMIT
    assert work.notes == ()


def test_a_side_is_cut_to_a_multiple_of_8() -> None:
    body = only(text(width=519, height=64))
    assert (body.width, body.height) == (512, 64)


def test_numbers_may_be_text_and_unknown_fields_are_ignored() -> None:
    body = only(text(steps="20", cfg_scale="4.5", seed=7.0, url="http://x", auth="", clip_skip=3, nope={}))
    assert (body.steps, body.guidance_scale, body.seed, body.clip_skip) == (20, 4.5, 7, None)


@pytest.mark.parametrize(
    ("n_iter", "batch_size", "jobs"),
    [(1, 1, [(7, 1)]), (3, 4, [(7, 12)]), (4, 4, [(7, 16)]), (5, 8, [(7, 16), (23, 16), (39, 8)])],
)
def test_image_k_has_the_seed_plus_k_over_all_jobs(
    n_iter: int, batch_size: int, jobs: list[tuple[int, int]]
) -> None:
    work = text(seed=7, n_iter=n_iter, batch_size=batch_size)
    assert [(body.seed, body.num_images) for body in work.bodies] == jobs
    assert sum(body.num_images for body in work.bodies) == n_iter * batch_size


def test_seeds_go_round_at_their_limit() -> None:
    assert [body.seed for body in text(seed=SEED_LIMIT - 1, n_iter=17).bodies] == [SEED_LIMIT - 1, 15]


def test_a_drawn_seed_is_shared_by_the_jobs() -> None:
    first, second = text(seed=-1, n_iter=20).bodies
    assert first.seed is not None
    assert second.seed == first.seed + 16


@pytest.mark.parametrize(
    ("fields", "hires"),
    [
        ({}, {"scale": 2.0, "upscaler": "latent", "strength": 0.75}),
        ({"hr_scale": 1.5, "hr_upscaler": "Lanczos"}, {"scale": 1.5, "upscaler": "lanczos"}),
        ({"hr_upscaler": "None", "denoising_strength": 0.4}, {"upscaler": "lanczos", "strength": 0.4}),
        ({"hr_resize_x": 768, "hr_resize_y": 768}, {"width": 768, "height": 768}),
        ({"hr_resize_x": 1030}, {"width": 1024, "height": 1024}),
        ({"hr_resize_y": 600, "width": 1024}, {"width": 1200, "height": 600}),
        ({"hr_prompt": "red apple", "hr_sampler_name": "Use same sampler"}, {"scale": 2.0}),
        ({"denoising_strength": None}, {"strength": 0.75}),
    ],
)
def test_a_second_pass_is_our_hires(fields: dict[str, Any], hires: dict[str, Any]) -> None:
    made = only(text(enable_hr=True, steps=20, **fields)).hires
    assert made is not None
    assert made.model_dump().items() >= hires.items()


@pytest.mark.parametrize("strength", [0.05, 0.29, 0.5, 0.7, 0.75, 1.0])
@pytest.mark.parametrize(("steps", "second"), [(20, 0), (30, 5)])
def test_the_second_pass_does_as_many_steps_as_are_asked_for(
    steps: int, second: int, strength: float
) -> None:
    work = text(enable_hr=True, steps=steps, hr_second_pass_steps=second, denoising_strength=strength)
    hires = only(work).hires
    assert hires is not None
    assert hires.steps is not None
    done, wanted = steps_done(hires.steps, strength), second or steps
    assert done >= wanted or (hires.steps == 150 and f"{done} of {wanted} steps" in work.notes[0])
    assert steps_done(hires.steps - 1, strength) < wanted


def test_a_picture_is_drawn_from(service: Service) -> None:
    body = only(picture(service))
    assert (body.init_image, body.strength, body.resize, body.mask) == (PICTURE, 0.75, "stretch", None)
    body = only(picture(service, resize_mode=1, denoising_strength=0.3, n_iter=2, batch_size=2))
    assert (body.strength, body.resize, body.num_images) == (0.3, "crop", 4)


def test_each_of_several_pictures_makes_its_own(service: Service) -> None:
    other = base64.b64encode(saved(plain(32, 32, "blue"))).decode()
    work = picture(service, init_images=[PICTURE, other], n_iter=2, batch_size=5)
    assert [(body.init_image, body.seed, body.num_images) for body in work.bodies] == [
        (PICTURE, 7, 1), (other, 8, 1), (PICTURE, 9, 1), (other, 10, 1)
    ]  # fmt: skip


def test_a_mask_is_taken_as_it_is_or_inverted(service: Service) -> None:
    mask = Image.new("RGBA", (64, 64))
    ImageDraw.Draw(mask).rectangle((0, 0, 31, 63), fill="white")
    sent = f"data:image/png;base64,{base64.b64encode(saved(mask)).decode()}"
    work = picture(service, mask=sent, mask_blur=3)
    body = only(work)
    assert (body.mask, body.mask_blur) == (sent, 3)
    assert len(work.notes) == 2
    assert only(picture(service, mask=sent)).mask_blur == 4
    inverted = only(picture(service, mask=sent, inpainting_mask_invert=1)).mask
    assert inverted is not None
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(inverted))))
    assert (drawn[:, :32] == 0).all()
    assert (drawn[:, 32:] == 255).all()
    quiet = picture(service, mask=sent, inpaint_full_res=False, inpainting_fill=1)
    assert quiet.notes == ()


def test_what_changes_little_is_told() -> None:
    work = text(eta=0.5, s_churn=0.2, s_noise=1, override_settings={"eta_noise_seed_delta": 31337})
    assert work.notes == (
        "eta: 0.5 is not followed",
        "s_churn: 0.2 is not followed",
        "override_settings: eta_noise_seed_delta is not known here",
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampler_name": "nope"}, "there is no sampler 'nope'"),
        ({"n_iter": 65}, "65 images are too many"),
        ({"n_iter": 10**9, "batch_size": 10**9}, "too many"),
        ({"steps": 151}, "steps: Input should be less"),
        ({"cfg_scale": 0.5}, "cfg_scale: Input should be greater"),
        ({"seed": -2}, "seed: "),
        ({"seed": SEED_LIMIT, "n_iter": 20}, "seed: "),
        ({"prompt": " "}, "prompt: is empty"),
        ({"width": 8}, "width: "),
        ({"width": -8}, "width: "),
        ({"subseed_strength": 0.1}, "variation seeds"),
        ({"seed_resize_from_w": 512}, "noise of another size"),
        ({"restore_faces": True}, "face restoration"),
        ({"tiling": True}, "tile"),
        ({"refiner_checkpoint": "refiner"}, "refiner"),
        ({"infotext": "a\nSteps: 1"}, "infotext"),
        ({"styles": ["None", "oil"]}, "no style 'oil'"),
        ({"script_name": "x/y/z plot"}, "Script 'x/y/z plot' not found"),
        ({"alwayson_scripts": {"ADetailer": {"args": [True, {}]}}}, "ADetailer not found"),
        ({"alwayson_scripts": {"ADetailer": "yes"}}, "ADetailer not found"),
        ({"enable_hr": True, "hr_upscaler": "R-ESRGAN 4x+"}, "'R-ESRGAN 4x\\+' is not here"),
        ({"enable_hr": True, "hr_scale": 5}, "hr_scale: "),
        ({"enable_hr": True, "denoising_strength": 0}, "denoising_strength: "),
        ({"enable_hr": True, "hr_prompt": "pear"}, "another prompt"),
        ({"enable_hr": True, "hr_checkpoint_name": "other"}, "another model"),
        ({"enable_hr": True, "firstphase_width": 256}, "first pass"),
        ({"enable_hr": True, "hr_resize_x": 512, "hr_resize_y": 1024}, "another shape"),
    ],
)
def test_what_cannot_be_done_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(EcurieError, match=message):
        text(**fields)


def test_what_asks_for_nothing_is_accepted() -> None:
    work = text(
        styles=["None", ""],
        script_name="None",
        alwayson_scripts={"ADetailer": {"args": [False]}, "ControlNet": {"args": []}, "other": {}},
        hr_prompt="pear",
        hr_upscaler="R-ESRGAN 4x+",
        restore_faces=False,
        seed_resize_from_h=0,
        eta=1.0,
    )
    assert work.notes == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"init_images": []}, "init_images: is missing"),
        ({"init_images": None}, "init_images: is missing"),
        ({"init_images": [PICTURE] * 65}, "at most 64"),
        ({"init_images": [PICTURE] * 40, "n_iter": 2}, "too many"),
        ({"resize_mode": 2}, "resize_mode: 2"),
        ({"denoising_strength": 1.5}, "denoising_strength: "),
        ({"mask": PICTURE, "mask_blur_x": 2}, "one radius"),
        ({"mask": "/9j/", "inpainting_mask_invert": 1}, "mask: "),
    ],
)
def test_pictures_that_cannot_be_used_are_refused(
    fields: dict[str, Any], message: str, service: Service
) -> None:
    with pytest.raises(EcurieError, match=message):
        picture(service, **fields)


def test_overrides_are_checked_and_others_left_alone() -> None:
    body = Txt2ImgBody(override_settings={"CLIP_stop_at_last_layers": "3", "nope": [1]})
    assert overrides_of(body).model_dump(exclude_unset=True) == {"CLIP_stop_at_last_layers": 3}
    with pytest.raises(EcurieError, match="CLIP_stop_at_last_layers: "):
        overrides_of(Txt2ImgBody(override_settings={"CLIP_stop_at_last_layers": 13}))


def test_a_file_of_a_picture_is_looked_for_in_this_server_alone(service: Service, tmp_path: Path) -> None:
    work = picture(service, init_images=[str(tmp_path / "x.png"), "http://127.0.0.1/x.png"])
    for body in work.bodies:
        with pytest.raises(EcurieError, match="init_image: "):
            service.resolve(body, LOCAL)
