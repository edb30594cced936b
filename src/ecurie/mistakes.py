"""What pydantic found wrong, as one sentence of ours."""

from __future__ import annotations

from pydantic import ValidationError


def first_mistake(error: ValidationError) -> tuple[str, str]:
    """The first wrong field, dotted, and the reason."""
    first = error.errors()[0]
    return ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
