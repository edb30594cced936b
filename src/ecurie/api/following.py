"""Following jobs: one reader for everybody who waits for a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from fastapi.concurrency import run_in_threadpool

from ecurie.domain import Job
from ecurie.errors import StoreUnavailable

POLL_SECONDS = 0.05
PAUSE_AFTER_FAULT_SECONDS = 1.0
SHARE = 0.2
"""Of a core's time that reading may take."""


class Following:
    """Jobs as they are at the next look, which all who ask in the meantime share.

    So two hundred listeners cost one statement a look. `changed_of` tells those of known jobs that changed.
    """

    def __init__(self, changed_of: Callable[[Sequence[Job]], list[Job]]):
        self._changed_of = changed_of
        self._known: dict[str, Job] = {}
        self._look: asyncio.Task[dict[str, Job]] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._pause = POLL_SECONDS

    async def again(self, job: Job) -> Job:
        """The job a moment later; as it was while the store does not answer."""
        self._known[job.id] = job
        if self._look is None:
            self._look = asyncio.create_task(self._look_soon())
        # Who leaves must not end the look of the others.
        return (await asyncio.shield(self._look))[job.id]

    async def _look_soon(self) -> dict[str, Job]:
        await asyncio.sleep(self._pause)
        async with self._one_at_a_time:
            known, self._known, self._look = self._known, {}, None
            began = asyncio.get_running_loop().time()
            try:
                changed = await run_in_threadpool(self._changed_of, list(known.values()))
            except StoreUnavailable:
                self._pause = PAUSE_AFTER_FAULT_SECONDS
                return known
            took = asyncio.get_running_loop().time() - began
            self._pause = max(POLL_SECONDS, took / SHARE)
        return known | {job.id: job for job in changed}
