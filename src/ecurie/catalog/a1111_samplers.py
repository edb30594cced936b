"""The web UI's names of samplers and schedule types, for our schedulers."""

from __future__ import annotations

from dataclasses import dataclass

from ecurie.catalog.sampler_names import AUTOMATIC, UNIFORM, a1111_sampler
from ecurie.catalog.schedulers import SCHEDULERS, find_scheduler
from ecurie.errors import InvalidRequest, UnknownSampler

# What `Automatic` means: `scheduler` of the options in the web UI's `modules/sd_samplers_kdiffusion.py`.
USUAL_SCHEDULE = {
    "DPM2": "Karras",
    "DPM2 a": "Karras",
    "DPM++ 2M": "Karras",
    "DPM++ SDE": "Karras",
    "DPM++ 2M SDE": "Exponential",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule type as `modules/sd_schedulers.py` has it. Its `Normal` gives the sigmas of `Uniform`."""

    name: str
    label: str
    aliases: tuple[str, ...] = ()
    rho: float = -1
    inner_model: bool = False

    def is_called(self, name: str) -> bool:
        return name.casefold() in {known.casefold() for known in (self.name, self.label, *self.aliases)}


SCHEDULES = (
    Schedule("automatic", AUTOMATIC),
    Schedule("uniform", UNIFORM, ("normal",), inner_model=True),
    Schedule("karras", "Karras", rho=7.0),
    Schedule("exponential", "Exponential"),
    Schedule("sgm_uniform", "SGM Uniform", ("SGMUniform",), inner_model=True),
)


@dataclass(frozen=True, slots=True)
class Sampler:
    """`schedulers` are our ids by schedule type. One with `Automatic` alone follows timesteps of its own,
    which no schedule type changes, as in the web UI."""

    name: str
    schedulers: dict[str, str]

    @property
    def usual(self) -> str:
        return USUAL_SCHEDULE.get(self.name, next(iter(self.schedulers)))


def _samplers() -> dict[str, Sampler]:
    found: dict[str, Sampler] = {}
    for entry in SCHEDULERS:
        if entry.class_name is not None:
            name, schedule = a1111_sampler(entry.id, entry.class_name)
            found.setdefault(name, Sampler(name, {})).schedulers[schedule] = entry.id
    return found


SAMPLERS = _samplers()


def scheduler_for(sampler: str, schedule: str | None) -> str:
    """Our scheduler's id. A name of old has the schedule type at its end: `DPM++ 2M Karras`; an id of ours is
    taken too.

    Raises UnknownSampler or InvalidRequest.
    """
    wanted = _schedule(schedule or AUTOMATIC)
    found = _named(sampler)
    if found is None:
        found, of_old = _split(sampler)
        wanted = of_old if wanted.label == AUTOMATIC else wanted
    if found is None:
        return _by_id(sampler)
    if AUTOMATIC in found.schedulers:
        return found.schedulers[AUTOMATIC]
    label = found.usual if wanted.label == AUTOMATIC else wanted.label
    if label not in found.schedulers:
        raise InvalidRequest(
            f"the sampler {found.name} has no schedule type {label} here",
            field="scheduler",
            remedy=f"use one of: {', '.join([AUTOMATIC, *found.schedulers])}",
        )
    return found.schedulers[label]


def _named(name: str) -> Sampler | None:
    return next((one for one in SAMPLERS.values() if one.name.casefold() == name.strip().casefold()), None)


def _split(name: str) -> tuple[Sampler | None, Schedule]:
    """`DPM++ 2M Karras` as its two parts."""
    for schedule in SCHEDULES:
        for ending in (schedule.label, schedule.name, *schedule.aliases):
            if not name.casefold().endswith(f" {ending.casefold()}"):
                continue
            if found := _named(name[: -len(ending)]):
                return found, schedule
    return None, SCHEDULES[0]


def _schedule(name: str) -> Schedule:
    found = next((schedule for schedule in SCHEDULES if schedule.is_called(name)), None)
    if found is None:
        raise InvalidRequest(
            f"there is no schedule type '{name[:100]}'",
            field="scheduler",
            remedy=f"use one of: {', '.join(schedule.label for schedule in SCHEDULES)}",
        )
    return found


def _by_id(name: str) -> str:
    try:
        return find_scheduler(name).id
    except InvalidRequest:
        raise UnknownSampler(
            f"there is no sampler '{name[:100]}'",
            field="sampler_name",
            remedy=f"use one of: {', '.join(SAMPLERS)}",
        ) from None
