"""Runs a job down the memory ladder until it fits."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from ecurie.engine.devices import Compute, free_vram, is_out_of_memory
from ecurie.engine.memory import Step, lower, plan, plan_on_cpu
from ecurie.engine.need import ModelNeed
from ecurie.errors import OutOfMemory
from ecurie.machine import free_ram

log = logging.getLogger(__name__)
T = TypeVar("T")
REMEDY = "ask for a smaller size, stop what else uses the memory, or use a machine with more"


def first_step(compute: Compute, budget: int, need: ModelNeed, width: int, height: int) -> Step:
    """The plan's step for a CPU, or for an accelerator, of which `budget` bytes may be taken at most.

    Raises OutOfMemory when no step fits an accelerator.
    """
    if compute.on_cpu:
        return plan_on_cpu(free_ram(), need, width, height)
    free = min(budget, free_vram(compute.device))
    step = plan(free, need, width, height)
    if step is None:
        raise OutOfMemory(
            f"an image of {width}×{height} pixels needs more than the {free / 1e9:.1f} GB that are free on "
            f"the {compute.device.type}, whatever is offloaded",
            remedy=REMEDY,
        )
    return step


def run_down(
    start: Step, compute: Compute, attempt: Callable[[Step, tuple[Step, ...]], T], free: Callable[[], None]
) -> T:
    """What `attempt` returns at the first step, from `start` on, at which memory suffices.

    It gets the step and those that failed before; between attempts, `free` is called. Raises OutOfMemory when
    the last step fails, and whatever else `attempt` raises.
    """
    step: Step | None = start
    failed: tuple[Step, ...] = ()
    while step is not None:
        try:
            return attempt(step, failed)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            log.warning("out of memory at step %s: %s", step.label, error)
        # Outside the handler: the error's traceback holds what the attempt had made.
        free()
        failed += (step,)
        step = lower(step, compute.on_cpu)
    raise OutOfMemory(
        f"the {compute.device.type}'s memory does not suffice, even with {failed[-1].label}",
        steps=labels(failed),
        remedy=REMEDY,
    )


def labels(steps: Iterable[Step]) -> tuple[str, ...]:
    return tuple(step.label for step in steps)


def warnings_of(failed: Iterable[Step], step: Step) -> tuple[str, ...]:
    """What the user should know of the steps that failed before `step`."""
    down = [*failed, step]
    return tuple(
        f"out of memory with {before.label}: made again with {after.label}"
        for before, after in itertools.pairwise(down)
    )
