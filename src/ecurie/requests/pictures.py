"""Pictures that a request names or brings along, as files on this machine."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ecurie.domain import PictureUse
from ecurie.errors import InvalidRequest
from ecurie.images.incoming import ReadPicture, check_picture, read_here
from ecurie.images.uploads import PICTURE_ID, Pictures, UploadLimits
from ecurie.requests.body import GenerateBody

FindPicture = Callable[[str, str], PictureUse]
"""From what a field says, and the field's name, to the picture. Raises RequestError."""


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Where the pictures of requests are found and read; `default_reference` is the server's own, if it has
    one."""

    find: FindPicture
    default_reference: Callable[[], PictureUse] | None = None
    read: ReadPicture = read_here


OUTPUT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.(png|webp|jpe?g)", re.IGNORECASE)
DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
KINDS = "the id of an upload, the name of an output, base64 or a data URI"


def settle_picture(text: str, field: str, pictures: Pictures) -> PictureUse:
    """An upload by its id, an output by its name, or base64 (a data URI too), which becomes an upload.

    Raises UnknownPicture, InvalidRequest, BodyTooLarge or StorageFull, naming the field.
    """
    text = text.strip()
    if PICTURE_ID.fullmatch(text):
        return pictures.find(text, field).use
    if OUTPUT.fullmatch(text):
        return pictures.add_output(text, field).use
    return pictures.add(decode_picture(text, field, pictures), field).use


def decode_picture(text: str, field: str, pictures: Pictures) -> bytes:
    """The file that is written as base64 or as a data URI; what it holds is not looked at.

    Raises InvalidRequest or BodyTooLarge.
    """
    prefix = DATA_URI.match(text)
    coded = text[prefix.end() :] if prefix else text
    pictures.refuse_large(len(coded) * 3 // 4, field)
    return _decoded(coded, field)


def picture_at(text: str, field: str, limits: UploadLimits) -> PictureUse:
    """A file, by its path: for the command line. Raises InvalidRequest."""
    content = read_file(text, field)
    check_picture(content, field, limits.pixels)
    return PictureUse(str(Path(text).expanduser().absolute()), hashlib.sha256(content).hexdigest())


def read_file(text: str, field: str) -> bytes:
    """Raises InvalidRequest."""
    try:
        return Path(text).expanduser().read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"{field}: {text} cannot be read: {error.strerror}", field=field, remedy="check the path"
        ) from error


def no_pictures(_text: str, field: str) -> NoReturn:
    raise InvalidRequest(f"{field}: no pictures are kept here", field=field)


NO_PICTURES = PictureSource(no_pictures)


def keep_pictures(body: GenerateBody, find: FindPicture) -> GenerateBody:
    """The body with its pictures named by the ids of their uploads. Raises what `find` raises."""
    kept: dict[str, object] = {
        field: find(text, field).id for field in ("init_image", "mask") if (text := getattr(body, field))
    }
    if body.reference_images:
        kept["reference_images"] = [find(text, "reference_images").id for text in body.reference_images]
    return body.model_copy(update=kept)


def _decoded(coded: str, field: str) -> bytes:
    """Both alphabets, with or without white space and padding."""
    plain = "".join(coded.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(
            f"{field}: this is neither {KINDS}",
            field=field,
            remedy="send the picture to POST /images and use its id; addresses are not fetched",
        ) from error
