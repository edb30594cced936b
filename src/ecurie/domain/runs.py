"""What was seen of a job's run while it went."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """`steps` are the seconds from one denoising step to the next, `downloaded` bytes, `out_of_memory` the
    steps of the memory ladder at which memory ran out."""

    steps: tuple[float, ...] = ()
    previews: int = 0
    downloaded: int = 0
    out_of_memory: tuple[str, ...] = ()


NOTHING_SEEN = Seen()
