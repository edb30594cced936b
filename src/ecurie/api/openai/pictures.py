"""The pictures of an edit as fields of `POST /generate`."""

from __future__ import annotations

import io
from typing import Any

from ecurie.api.openai.forms import Form
from ecurie.errors import InvalidRequest
from ecurie.images.fitting import mask_of_holes
from ecurie.images.incoming import check_picture, load_picture
from ecurie.images.uploads import Pictures

MASKED_STRENGTH = 1.0
"""What is masked out is to be drawn anew; without a mask the picture is what is drawn from."""


def picture_fields(form: Form, pictures: Pictures) -> dict[str, Any]:
    """The first image is what drawing starts from, the others are references.

    Raises InvalidRequest, BodyTooLarge or StorageFull.
    """
    images = [_kept(image, "image", pictures) for image in form.files.get("image", [])]
    if not images:
        raise InvalidRequest("image: is missing", field="image", remedy="send a file as image or image[]")
    fields: dict[str, Any] = {"init_image": images[0]}
    if images[1:]:
        fields["reference_images"] = images[1:]
    masks = form.files.get("mask", [])
    if len(masks) > 1:
        raise InvalidRequest("mask: there may be one", field="mask")
    if masks:
        fields["mask"] = _mask(masks[0], pictures)
        if "strength" not in form.fields:
            fields["strength"] = MASKED_STRENGTH
    return fields


def _kept(image: bytes | str, field: str, pictures: Pictures) -> str:
    return image if isinstance(image, str) else pictures.add(image, field).use.id


def _mask(sent: bytes | str, pictures: Pictures) -> str:
    """OpenAI's masks are transparent where the picture is to be edited; ours are white there."""
    if isinstance(sent, str):
        return sent
    pictures.refuse_large(len(sent), "mask")
    check_picture(sent, "mask", pictures.limits.pixels)
    mask = mask_of_holes(load_picture(sent, "mask"))
    if mask.getextrema() == (0, 0):
        raise InvalidRequest(
            "mask: nothing in it is transparent, so nothing would be drawn",
            field="mask",
            remedy="make it transparent where the picture is to be edited",
        )
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return _kept(buffer.getvalue(), "mask", pictures)
