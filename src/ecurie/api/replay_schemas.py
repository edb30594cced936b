"""What responses tell of replays."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class DifferenceOut(BaseModel):
    """`what` is a dotted path in the manifest."""

    what: str
    then: str | None
    now: str | None


class ReplayOut(BaseModel):
    """How the image compares with the original; `null` where none was sent. Differences are in 0 to 255."""

    identical_bytes: bool | None
    identical_pixels: bool | None
    max_difference: int | None
    mean_difference: float | None
    differing: list[DifferenceOut]


class ManifestsOut(BaseModel):
    """One manifest for each image, as `docs/replay.md` describes it."""

    manifests: list[dict[str, Any]]
