"""The second, larger pass as the web UI asks for it."""

from __future__ import annotations

from typing import Any

from ecurie.api.a1111.bodies import Txt2ImgBody
from ecurie.domain import steps_done, steps_for
from ecurie.errors import InvalidRequest

UPSCALERS = {"Latent": "latent", "Lanczos": "lanczos", "None": "lanczos"}
"""`None` of the web UI enlarges by Lanczos too."""
MOST_STEPS = 150
STRENGTH = 0.75
SIDE = 8
SAME_SHAPE = 0.02


def hires_of(body: Txt2ImgBody, width: int, height: int) -> dict[str, Any] | None:
    """The `hires` of `POST /generate`; None without a second pass. Raises InvalidRequest."""
    if not body.enable_hr:
        return None
    return {
        **_size(body, width, height),
        "steps": _schedule(body),
        "strength": _strength(body),
        "upscaler": _upscaler(body.hr_upscaler or "Latent"),
    }


def _upscaler(name: str) -> str:
    found = {known.casefold(): ours for known, ours in UPSCALERS.items()}.get(name.strip().casefold())
    if found is None:
        raise InvalidRequest(
            f"hr_upscaler: '{name[:100]}' is not here",
            field="hr_upscaler",
            remedy=f"use one of: {', '.join(UPSCALERS)}",
        )
    return found


def _strength(body: Txt2ImgBody) -> float:
    return STRENGTH if body.denoising_strength is None else body.denoising_strength


def _schedule(body: Txt2ImgBody) -> int:
    """Of so many steps the last ones are done, by the strength. The web UI counts those that are done."""
    return steps_for(body.hr_second_pass_steps or body.steps, _strength(body), MOST_STEPS)


def note_on_steps(body: Txt2ImgBody) -> str | None:
    """Where the longest schedule is too short for the second pass."""
    wanted, done = body.hr_second_pass_steps or body.steps, steps_done(_schedule(body), _strength(body))
    if not body.enable_hr or done >= wanted:
        return None
    return f"hr_second_pass_steps: {done} of {wanted} steps are done, {MOST_STEPS} being a schedule's most"


def _size(body: Txt2ImgBody, width: int, height: int) -> dict[str, Any]:
    """By `hr_scale`, or by the sides; a side that is not given follows from the picture's shape."""
    across, down = body.hr_resize_x, body.hr_resize_y
    if not across and not down:
        return {"scale": body.hr_scale}
    across, down = across or round(down * width / height), down or round(across * height / width)
    if abs(across * height - down * width) > SAME_SHAPE * down * width:
        raise InvalidRequest(
            f"hr_resize_x, hr_resize_y: {across}x{down} has another shape than {width}x{height}",
            field="hr_resize_x",
            remedy="give one of them and leave the other 0",
        )
    return {"width": across // SIDE * SIDE, "height": down // SIDE * SIDE}
