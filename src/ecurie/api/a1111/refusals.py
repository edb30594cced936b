"""What a request asks for and this server does not do: refused where the picture would be another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecurie.api.a1111.bodies import GenerationBody, Img2ImgBody, OptionsBody, Txt2ImgBody
from ecurie.errors import InvalidRequest

NOTHING: tuple[Any, ...] = (None, "", "None", False, 0)
UNSIZED = (*NOTHING, -1)
REFUSED = (
    ("subseed_strength", NOTHING, "variation seeds"),
    ("seed_resize_from_h", UNSIZED, "noise of another size"),
    ("seed_resize_from_w", UNSIZED, "noise of another size"),
    ("restore_faces", NOTHING, "face restoration"),
    ("tiling", NOTHING, "pictures that tile"),
    ("refiner_checkpoint", NOTHING, "a refiner"),
    ("infotext", NOTHING, "settings written as infotext"),
)
"""Field, values that ask for nothing, and what any other asks for."""
REFUSED_IN_HIRES = (
    ("hr_checkpoint_name", (*NOTHING, "Use same checkpoint"), "another model for the second pass"),
    ("hr_sampler_name", (*NOTHING, "Use same sampler"), "another sampler for the second pass"),
    ("hr_scheduler", (*NOTHING, "Use same scheduler"), "another schedule type for the second pass"),
    ("hr_prompt", NOTHING, "another prompt for the second pass"),
    ("hr_negative_prompt", NOTHING, "another prompt for the second pass"),
    ("firstphase_width", NOTHING, "a first pass of another size"),
    ("firstphase_height", NOTHING, "a first pass of another size"),
)
SAME_IN_HIRES = {
    "hr_sampler_name": "sampler_name",
    "hr_scheduler": "scheduler",
    "hr_prompt": "prompt",
    "hr_negative_prompt": "negative_prompt",
}
LEFT_OUT = (
    ("eta", (None, 0, 1)),
    ("s_churn", (None, 0)),
    ("s_noise", (None, 1)),
    ("s_min_uncond", (None, 0)),
    ("initial_noise_multiplier", (None, 1)),
)
"""Field, and values that change nothing; any other is not followed."""


def refuse_what_is_not_there(body: GenerationBody) -> None:
    """Raises InvalidRequest."""
    _refuse_scripts(body)
    for field, nothing, what in REFUSED:
        _refuse(body, field, nothing, what)
    if isinstance(body, Txt2ImgBody) and body.enable_hr:
        for field, nothing, what in REFUSED_IN_HIRES:
            same = (getattr(body, SAME_IN_HIRES[field]),) if field in SAME_IN_HIRES else ()
            _refuse(body, field, (*nothing, *same), what)
    for style in body.styles or ():
        if style not in NOTHING:
            raise InvalidRequest(
                f"there is no style '{style[:100]}'", field="styles", remedy="none is kept here; leave it out"
            )


def _refuse(body: GenerationBody, field: str, nothing: tuple[Any, ...], what: str) -> None:
    if getattr(body, field) not in nothing:
        raise InvalidRequest(
            f"{field}: this server does not do {what}", field=field, remedy=f"leave '{field}' out"
        )


def _refuse_scripts(body: GenerationBody) -> None:
    """In the web UI's words. A script that is given nothing to do may be named."""
    if body.script_name not in NOTHING:
        raise InvalidRequest(f"Script '{body.script_name}' not found", field="script_name")
    for name, script in (body.alwayson_scripts or {}).items():
        given = script.get("args") if isinstance(script, dict) else script
        if any(value not in NOTHING for value in (given if isinstance(given, list) else [given])):
            raise InvalidRequest(
                f"always on script {name[:100]} not found",
                field="alwayson_scripts",
                remedy="no extensions are installed here; leave it out",
            )


def notes_on(body: GenerationBody) -> Iterator[str]:
    """What is not followed although the picture is a little different: told in `info`."""
    for field, nothing in LEFT_OUT:
        if (value := getattr(body, field, None)) not in nothing:
            yield f"{field}: {value:g} is not followed"
    for name in body.override_settings or {}:
        if name not in OptionsBody.model_fields:
            yield f"override_settings: {name[:100]} is not known here"
    if isinstance(body, Img2ImgBody) and body.mask is not None:
        if body.inpaint_full_res:
            yield "inpaint_full_res: the whole picture is drawn, not the masked part alone"
        if body.inpainting_fill != 1:
            yield f"inpainting_fill: drawing starts from the picture (1), not as {body.inpainting_fill} says"
