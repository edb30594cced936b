"""What a picture tells of how it was made, as the web UI reads it."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from ecurie.images.formats import MANIFEST_KEY
from ecurie.images.infotext_reading import read_infotext
from ecurie.images.reading import read_text

SIZES, SIDES = ("Size", "Hires resize"), re.compile(r"(\d{1,6})x(\d{1,6})")


class PngInfoOut(BaseModel):
    """`info` is the parameters as they stand there, `parameters` the same by name, `items` all else."""

    info: str
    items: dict[str, Any]
    parameters: dict[str, Any]


def png_info_out(content: bytes) -> PngInfoOut:
    """Empty for a picture that tells nothing. Raises InvalidRequest for what is no picture."""
    found = read_text(content)
    items = {MANIFEST_KEY: found.manifest} if found.manifest else {}
    if not found.parameters:
        return PngInfoOut(info="", items=items, parameters={})
    return PngInfoOut(info=found.parameters, items=items, parameters=_by_name(found.parameters))


def _by_name(text: str) -> dict[str, Any]:
    """A size is told as its two sides."""
    told = read_infotext(text)
    named: dict[str, Any] = {"Prompt": told.prompt, "Negative prompt": told.negative_prompt}
    for key, value in told.settings.items():
        if key in SIZES and (sides := SIDES.fullmatch(value)):
            named |= {f"{key}-1": sides[1], f"{key}-2": sides[2]}
        else:
            named[key] = value
    return named
