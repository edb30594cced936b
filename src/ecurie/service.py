"""The use cases: what the HTTP interface does, in terms of the catalogue and the job store."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from ecurie.catalog.catalog import Catalog
from ecurie.domain import GenerationRequest, Job, JobState
from ecurie.errors import UnknownOutput
from ecurie.jobs.store import JobStore
from ecurie.requests import GenerateBody, resolve

NORMAL_PRIORITY = 0
OUTPUT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Limits:
    max_queue: int
    max_pixels: int


class Service:
    def __init__(self, catalog: Catalog, store: JobStore, outputs_dir: Path, limits: Limits):
        self.catalog, self.store = catalog, store
        self._outputs_dir, self._limits = outputs_dir.resolve(), limits

    def submit(self, body: GenerateBody) -> Job:
        """Check everything that can be checked without the model in memory, then queue the job durably.

        Raises RequestError, QueueFull or StorageFull.
        """
        request = resolve(body, self.catalog, self._limits.max_pixels)
        return self.store.add(
            request,
            priority=NORMAL_PRIORITY,
            stack=stack_of(request),
            max_queue=self._limits.max_queue,
        )

    def job(self, job_id: str) -> Job:
        return self.store.get(job_id)

    def jobs(self, limit: int, state: JobState | None) -> list[Job]:
        return self.store.latest(limit, state)

    def cancel(self, job_id: str) -> Job:
        return self.store.cancel(job_id)

    def output(self, filename: str) -> Path:
        """The file of a finished image. Raises UnknownOutput for anything else, links included."""
        path = self._outputs_dir / filename
        if not OUTPUT_NAME.fullmatch(filename) or path.is_symlink() or not path.is_file():
            raise UnknownOutput(f"there is no output '{filename[:100]}'")
        return path


def stack_of(request: GenerationRequest) -> str:
    """Equal for requests that need the same adapters at the same weights, in any order."""
    uses = sorted((use.sha256, use.unet, use.text_encoder) for use in request.adapters)
    return hashlib.sha256(json.dumps(uses).encode()).hexdigest()[:16] if uses else ""
