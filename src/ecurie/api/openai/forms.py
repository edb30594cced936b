"""Multipart forms as OpenAI's SDKs write them: files, and fields whose names say where a value stands.

`a[]` is an item of a list, `a[b]` a value of an object, `a[][b]` that of an object in a list.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from ecurie.api.sent_files import FORM
from ecurie.errors import InvalidRequest

MAX_FILES, MAX_FIELDS = 20, 200
FILES = re.compile(r"(image|mask)(?:\[\d*\])?")
NAME = re.compile(r"(\w+)(\[\])?(?:\[(\w+)\])?")
STRUCTURED = frozenset({"hires", "lora", "loras", "reference_images"})
"""Fields that may be JSON in one text."""


class Columns(dict[str, list[str]]):
    """The objects of a list, as the values of each key."""


@dataclass
class Form:
    """`files` by name, in the order in which they came: contents, or texts that name a picture."""

    fields: dict[str, Any] = field(default_factory=dict)
    files: dict[str, list[bytes | str]] = field(default_factory=lambda: defaultdict(list))


async def read_form(request: Request) -> Form:
    """Raises InvalidRequest."""
    if request.headers.get("content-type", "").split(";")[0].strip().casefold() != FORM:
        raise InvalidRequest(f"pictures come in a form, as {FORM}", remedy="with curl: -F image=@picture.png")
    read = Form()
    texts: list[tuple[str, str]] = []
    try:
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS) as form:
            for name, value in form.multi_items():
                content = await value.read() if isinstance(value, UploadFile) else value
                if found := FILES.fullmatch(name):
                    read.files[found[1]].append(content)
                elif isinstance(content, bytes):
                    raise InvalidRequest(f"{name[:100]}: no such file is used here", field=name[:100])
                else:
                    texts.append((name, content))
    except HTTPException as error:
        raise InvalidRequest(f"the form cannot be read: {error.detail}") from error
    read.fields = nested(texts)
    return read


def nested(texts: list[tuple[str, str]]) -> dict[str, Any]:
    """The values of a form as JSON would have them, all texts still. Raises InvalidRequest."""
    fields: dict[str, Any] = {}
    for name, value in texts:
        parts = NAME.fullmatch(name)
        if parts is None:
            raise InvalidRequest(f"{name[:100]}: no field has such a name", field=name[:100])
        plain, item, key = parts.groups()
        _put(fields, plain, item, key, value)
    return {name: _objects(name, v) if isinstance(v, Columns) else v for name, v in fields.items()}


def _put(fields: dict[str, Any], name: str, item: str | None, key: str | None, value: str) -> None:
    if not item and not key:
        if name in fields:
            raise InvalidRequest(f"{name}: is there twice", field=name)
        fields[name] = _structured(name, value) if name in STRUCTURED else value
        return
    kind: type[Any] = Columns if item and key else list if item else dict
    place = fields.setdefault(name, kind())
    if type(place) is not kind:
        raise InvalidRequest(f"{name}: is there twice, in two ways", field=name)
    if key is None:
        place.append(value)
    elif item:
        place.setdefault(key, []).append(value)
    else:
        place[key] = value


def _structured(name: str, text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{name}: this is not valid JSON", field=name) from error


def _objects(name: str, columns: Columns) -> list[dict[str, str]]:
    """SDKs send all values of one key, then all of the next, so each object must have every key."""
    if len({len(values) for values in columns.values()}) > 1:
        raise InvalidRequest(
            f"{name}: a form cannot tell which of its items a value belongs to",
            field=name,
            remedy=f"send '{name}' as one JSON text, or the same keys in every item",
        )
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
