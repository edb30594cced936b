"""The use cases of sweeps: submitted whole, looked at while they run, drawn as one grid."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ecurie.domain import Caller, GenerationRequest, Job, JobState, Priority
from ecurie.errors import JobFinished, RequestError, UnknownSweep
from ecurie.images.grid import Tile, draw_grid
from ecurie.jobs.schedule import stack_of
from ecurie.jobs.store import New
from ecurie.jobs.sweeps import StoredSweep, SweepStore
from ecurie.requests.sweep import Cell, SweepBody, cells, label_of, with_kept_pictures, with_seed
from ecurie.service import Service

GRID_KEY = "ecurie-sweep"


@dataclass(frozen=True, slots=True)
class Sweep:
    """`jobs` are its cells', row by row."""

    id: str
    created_at: datetime
    body: SweepBody
    jobs: list[Job]

    @property
    def state(self) -> JobState:
        """Of the whole: it has succeeded when every cell has."""
        states = {job.state for job in self.jobs}
        if any(not state.ended for state in states):
            return JobState.QUEUED if states == {JobState.QUEUED} else JobState.RUNNING
        bad = (state for state in (JobState.FAILED, JobState.CANCELLED) if state in states)
        return next(bad, JobState.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class CellPicture:
    """The picture of a cell, as a file's content, and what made it; or, without one, what to say in its
    place."""

    content: bytes | None
    note: str = ""
    made_by: dict[str, Any] | None = None


class Sweeps:
    """Kept in the database of the service's jobs."""

    def __init__(self, service: Service):
        self._service, self._store = service, SweepStore(service.store.database)

    def submit(self, body: SweepBody, caller: Caller) -> Sweep:
        """Check every cell, then queue them all, or none.

        Raises RequestError naming the first cell that cannot be made, QueueFull, LimitReached or StorageFull.
        """
        settled = with_kept_pictures(with_seed(body), self._service.picture_source(caller).find)
        resolved = [(cell, self._resolve(cell, caller)) for cell in cells(settled)]
        stored = self._store.add(settled.model_dump_json(exclude_unset=True))
        new = [New(found, stack_of(found), cell.number) for cell, found in switching_least(resolved)]
        try:
            self._service.submit_cells(new, stored.id, Priority.named(body.priority), caller)
        except BaseException:
            self._store.remove(stored.id)
            raise
        return self._whole(stored)

    def _resolve(self, cell: Cell, caller: Caller) -> GenerationRequest:
        try:
            return self._service.resolve(cell.body, caller)
        except RequestError as error:
            error.args = (f"the cell {cell.label}: {error}",)
            raise

    def get(self, sweep_id: str, caller: Caller) -> Sweep:
        """Raises UnknownSweep, also for one that is not the caller's."""
        sweep = self._whole(self._store.get(sweep_id))
        if not sweep.jobs or not all(caller.may_use(job.owner) for job in sweep.jobs):
            raise UnknownSweep(f"there is no sweep '{sweep_id}'")
        return sweep

    def cancel(self, sweep_id: str, caller: Caller) -> Sweep:
        """Cancel the cells that have not ended. Raises UnknownSweep."""
        for job in self.get(sweep_id, caller).jobs:
            try:
                self._service.cancel(job.id, caller)
            except JobFinished:
                continue
        return self.get(sweep_id, caller)

    def _whole(self, stored: StoredSweep) -> Sweep:
        body = SweepBody.model_validate_json(stored.definition)
        return Sweep(stored.id, stored.created_at, body, self._service.store.cells(stored.id))


def switching_least(
    resolved: Iterable[tuple[Cell, GenerationRequest]],
) -> list[tuple[Cell, GenerationRequest]]:
    """Cells of one model together, and within it those of one stack, each in the order of the grid."""
    groups: dict[str, dict[str, list[tuple[Cell, GenerationRequest]]]] = {}
    for one in resolved:
        groups.setdefault(one[1].model, {}).setdefault(stack_of(one[1]), []).append(one)
    return [one for stacks in groups.values() for group in stacks.values() for one in group]


def draw_sweep(body: SweepBody, pictures: Sequence[CellPicture]) -> tuple[Image.Image, PngInfo]:
    """The grid of cells, row by row, and the text for its PNG: the axes, and what made each cell."""
    width = len(body.x.values)
    columns = [label_of(body.x.field, value) for value in body.x.values]
    rows = [label_of(body.y.field, value) for value in body.y.values] if body.y else []
    with ExitStack() as stack:
        tiles = [
            Tile(stack.enter_context(Image.open(io.BytesIO(one.content))) if one.content else None, one.note)
            for one in pictures
        ]
        lines = [tiles[start : start + width] for start in range(0, len(tiles), width)]
        picture = draw_grid(lines, columns, rows, body.request.prompt)
    text = PngInfo()
    definition = body.model_dump(mode="json", exclude_unset=True)
    made = {"sweep": definition, "cells": [one.made_by for one in pictures]}
    text.add_itxt(GRID_KEY, json.dumps(made, ensure_ascii=False))
    return picture, text
