"""Errors as problem documents (RFC 9457), before any interface tells them in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from ecurie.errors import EcurieError, InvalidRequest, MalformedBody

PROBLEM = "application/problem+json"
MOST_TOLD = 2_000
"""Characters."""
PLACES = (("body",), ("query",), ("path",), ("header",))
"""Where FastAPI says that a field was."""


class Problem(BaseModel):
    """RFC 9457, with the stable `code` and, where there is one, the wrong `field` and the `remedy`."""

    type: str = Field(examples=["urn:ecurie:unknown-model"])
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    remedy: str | None = None


def problem_of(error: EcurieError) -> Problem:
    return Problem(
        type=f"urn:ecurie:{error.code}",
        title=error.title,
        status=error.status,
        # Of what a client sent it need not get everything back.
        detail=_cut(str(error), MOST_TOLD),
        code=error.code,
        field=getattr(error, "field", None),
        remedy=error.remedy and _cut(error.remedy, MOST_TOLD),
    )


def from_validation(errors: Sequence[Any]) -> EcurieError:
    """The first mistake, named by its field; the rest counted."""
    first = errors[0]
    if first["type"] == "json_invalid":
        place = f", at character {first['loc'][-1]}" if isinstance(first["loc"][-1], int) else ""
        return MalformedBody(f"the body is not valid JSON: {first['ctx']['error']}{place}")
    where = first["loc"][1:] if first["loc"][:1] in PLACES else first["loc"]
    name = _cut(".".join(map(str, where)) or "body", 100)
    reason = {"extra_forbidden": "unknown field", "missing": "is missing"}.get(first["type"], first["msg"])
    given = first.get("input")
    if isinstance(given, int | float | str | None) and first["type"] not in ("extra_forbidden", "missing"):
        reason += f" (got {_shortened(given)})"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    remedy = "docs/api.md lists every field" if first["type"] == "extra_forbidden" else None
    return InvalidRequest(f"{name}: {reason.removeprefix('Value error, ')}{more}", field=name, remedy=remedy)


def _shortened(value: object) -> str:
    return _cut(repr(value), 40)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
