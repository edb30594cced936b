"""How far a job is, in words, from what the server tells of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecurie.client import Progress


def seconds_since(moment: str) -> float:
    """Since a moment as the server writes it; below 0: it is to come."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def span(seconds: float) -> str:
    """`7 s`, `3 min`, `2 h` or `5 d`."""
    whole = max(0, round(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{round(whole / size)} {unit}"
    return f"{whole} s"


def queue_text(progress: Progress) -> str:
    place = "queued" if progress.queue_position is None else f"queued, number {progress.queue_position}"
    start = progress.estimated_start
    return place if start is None else f"{place}, starts in {span(-seconds_since(start))}"


def bytes_text(progress: Progress) -> str | None:
    """Of a download; None: there is none."""
    done, total = progress.bytes_done, progress.bytes_total
    if done is None:
        return None
    return f"{done / 1e6:,.1f} MB" if total is None else f"{done / 1e6:,.1f} of {total / 1e6:,.1f} MB"


def amount(progress: Progress) -> tuple[float, float | None]:
    """(done, of all), bytes or steps; None: not known."""
    if progress.bytes_done is not None:
        return progress.bytes_done, progress.bytes_total
    return progress.step, progress.total or None
