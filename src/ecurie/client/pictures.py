"""Pictures of requests that are here, not at the server."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecurie.client.handles import PictureCalls
from ecurie.client.plans import Ask, Plan, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ecurie.client.shapes import Picture, UploadInfo

PICTURE_FIELDS, LIST_FIELD = ("init_image", "mask"), "reference_images"


def uploaded(picture: Picture) -> Plan[UploadInfo]:
    """Raises OSError for a file that cannot be read."""
    content = yield from content_of(picture)
    upload: UploadInfo = yield from told(Ask("POST", "/images", content=content))
    return upload


def with_uploads(fields: Mapping[str, Any]) -> Plan[dict[str, Any]]:
    """The fields as the server takes them: pictures that are here are sent first."""
    settled = dict(fields)
    for name in PICTURE_FIELDS:
        if settled.get(name) is not None:
            settled[name] = yield from _named(settled[name])
    if settled.get(LIST_FIELD):
        names = []
        for picture in settled[LIST_FIELD]:
            names.append((yield from _named(picture)))
        settled[LIST_FIELD] = names
    return settled


def _named(picture: Picture) -> Plan[str]:
    """By a name that the server knows. A text that is the path of a file here means that file."""
    if isinstance(picture, PictureCalls) and picture.url.startswith("/outputs/"):
        return picture.filename
    if isinstance(picture, str) and not os.path.isfile(os.path.expanduser(picture)):
        return picture
    return (yield from uploaded(picture))["id"]


def content_of(picture: Picture) -> Plan[bytes]:
    """Of a file; of a Pillow image, as PNG."""
    if isinstance(picture, PictureCalls):
        return (yield from picture.content())
    if isinstance(picture, bytes):
        return picture
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(picture, pillow.Image):
        content = io.BytesIO()
        picture.save(content, format="PNG")
        return content.getvalue()
    if isinstance(picture, str | os.PathLike):
        return Path(picture).expanduser().read_bytes()
    raise TypeError(f"a picture is a path, bytes or a Pillow image, not {type(picture).__name__}")
