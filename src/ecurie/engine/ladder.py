"""Runs a job down the memory ladder until it fits."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
    start: Step, compute: Compute, attempt: Callable[[Step, tuple[str, ...]], T], free: Callable[[], None]
) -> T:
    """What `attempt` returns at the first step, from `start` on, at which memory suffices.

    It gets the step and warnings of the steps that failed; between attempts, `free` is called. Raises
    OutOfMemory when the last step fails, and whatever else `attempt` raises.
    """
    step: Step | None = start
    warnings: tuple[str, ...] = ()
    while step is not None:
        try:
            return attempt(step, warnings)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            log.warning("out of memory at step %s: %s", step.label, error)
        # Outside the handler: the error's traceback holds what the attempt had made.
        free()
        failed, step = step, lower(step, compute.on_cpu)
        if step is not None:
            warnings += (f"out of memory with {failed.label}: made again with {step.label}",)
    raise OutOfMemory(
        f"the {compute.device.type}'s memory does not suffice, even with {failed.label}", remedy=REMEDY
    )
