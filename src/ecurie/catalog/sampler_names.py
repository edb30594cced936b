"""What A1111 calls our schedulers: a sampler and a schedule type.

Labels are those of A1111's `modules/sd_samplers_*.py` and `sd_schedulers.py`; DDPM, DEIS and TCD are Forge's.
"""

from __future__ import annotations

from ecurie.catalog.schedulers import (
    EXPONENTIAL,
    KARRAS,
    MODEL_DEFAULT,
    SCHEDULERS,
    SchedulerEntry,
    find_scheduler,
)

UNIFORM, AUTOMATIC = "Uniform", "Automatic"
# These follow timesteps of their own, so A1111's choice of a schedule does not apply to them.
OWN_TIMESTEPS = frozenset({"ddim", "ddpm", "deis", "unipc", "pndm", "lcm", "tcd"})
SPECIAL = {"pndm": ("PLMS", AUTOMATIC), "euler-trailing": ("Euler", "SGM Uniform")}


def a1111_sampler(scheduler: str, class_name: str) -> tuple[str, str]:
    """(sampler, schedule type). `class_name` is diffusers' for the scheduler that ran: it tells what the
    model's own is."""
    entry = find_scheduler(scheduler)
    if entry.id == MODEL_DEFAULT:
        entry = _plain_entry(class_name) or entry
    if entry.id in SPECIAL:
        return SPECIAL[entry.id]
    for schedule, options in (("Karras", KARRAS), ("Exponential", EXPONENTIAL)):
        if entry.options.items() >= options.items():
            return entry.label.removesuffix(f" {schedule}"), schedule
    return entry.label, AUTOMATIC if entry.id in OWN_TIMESTEPS else UNIFORM


def _plain_entry(class_name: str) -> SchedulerEntry | None:
    """The entry that runs diffusers' class as it is."""
    return next((entry for entry in SCHEDULERS if entry.class_name == class_name and not entry.options), None)
