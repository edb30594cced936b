"""A run as the spans of a trace, told when it is over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ecurie.jobs.claims import Claim
from ecurie.worker.reporter import Phase

if TYPE_CHECKING:
    from ecurie.telemetry import Tracing
    from ecurie.worker.loop import Trace

NAMES = {
    "preparing": "prepare",
    "downloading": "download",
    "loading model": "switch model",
    "applying adapters": "switch stack",
    "encoding prompt": "encode",
    "encoding picture": "encode picture",
    "denoising": "denoise",
    "enlarging": "enlarge",
    "decoding": "decode",
    "saving": "save",
}
"""Of phases."""


def trace_with(tracing: Tracing | None) -> Trace:
    """What tells runs to the collector; where there is none, nothing."""

    def tell(claim: Claim, phases: Sequence[Phase], outcome: str) -> None:
        if tracing is None:
            return
        job = claim.job
        attributes = {
            "job": job.id,
            "model": claim.model,
            "worker": claim.worker,
            "attempt": str(claim.attempt),
            "outcome": outcome.partition(":")[0],
        }
        ends = [*phases, Phase("", time.time())]
        stretches = [
            (NAMES.get(one.name, one.name), one.began_at, after.began_at) for one, after in pairwise(ends)
        ]
        queue = ("queue", job.created_at.timestamp(), phases[0].began_at)
        tracing.job(job.traceparent, [queue, *stretches], attributes, failed=outcome.startswith("failed"))

    return tell
