"""Files that clients send: as the body itself, or as the one file of a form."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from ecurie.errors import InvalidRequest
from ecurie.images.incoming import MEDIA_TYPES

FORM = "multipart/form-data"
FILE = {"type": "string", "format": "binary"}
PICTURE_CONTENT: dict[str, Any] = {
    FORM: {
        "schema": {"type": "object", "required": ["file"], "properties": {"file": FILE}},
        "encoding": {"file": {"contentType": ", ".join(MEDIA_TYPES.values())}},
    },
    **{media_type: {"schema": FILE} for media_type in MEDIA_TYPES.values()},
}
"""Of OpenAPI's request body."""


async def sent_file(request: Request) -> bytes:
    """What a form's field is called does not matter. Raises InvalidRequest."""
    if request.headers.get("content-type", "").split(";")[0].strip().casefold() != FORM:
        return await request.body()
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            for value in form.values():
                if isinstance(value, UploadFile):
                    return await value.read()
    except HTTPException as error:
        raise InvalidRequest(f"the form cannot be read: {error.detail}", field="file") from error
    raise InvalidRequest(
        "file: the form has no file", field="file", remedy='with curl: -F "file=@picture.png"'
    )
