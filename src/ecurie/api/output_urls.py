"""Where clients find a finished image."""

from __future__ import annotations

from urllib.parse import quote


def output_url(filename: str) -> str:
    return f"/outputs/{quote(filename)}"


def thumbnail_url(filename: str) -> str:
    return f"{output_url(filename)}/thumbnail"
