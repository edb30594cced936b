"""The schedulers that a request may name: the field's names, and what diffusers calls them.

A scheduler takes the model's own noise schedule (betas, prediction type) and adds the options named here.
The names and options follow diffusers' table of A1111 and k-diffusion equivalents
(https://huggingface.co/docs/diffusers/api/schedulers/overview).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ecurie.errors import InvalidRequest

MODEL_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class SchedulerEntry:
    """`class_name` is None for the model's own. `max_steps` is the scheduler's own limit."""

    id: str
    label: str
    class_name: str | None
    options: dict[str, object] = field(default_factory=dict)
    max_steps: int = 150


KARRAS: dict[str, object] = {"use_karras_sigmas": True}
EXPONENTIAL: dict[str, object] = {"use_exponential_sigmas": True}
SDE: dict[str, object] = {"algorithm_type": "sde-dpmsolver++"}
DPM = "DPMSolverMultistepScheduler"
DPM_SDE = "DPMSolverSDEScheduler"

SCHEDULERS: tuple[SchedulerEntry, ...] = (
    SchedulerEntry(MODEL_DEFAULT, "The model's own", None),
    SchedulerEntry("euler", "Euler", "EulerDiscreteScheduler"),
    SchedulerEntry("euler-karras", "Euler Karras", "EulerDiscreteScheduler", KARRAS),
    SchedulerEntry(
        "euler-trailing", "Euler trailing", "EulerDiscreteScheduler", {"timestep_spacing": "trailing"}
    ),
    SchedulerEntry("euler-a", "Euler a", "EulerAncestralDiscreteScheduler"),
    SchedulerEntry("heun", "Heun", "HeunDiscreteScheduler"),
    SchedulerEntry("lms", "LMS", "LMSDiscreteScheduler"),
    SchedulerEntry("lms-karras", "LMS Karras", "LMSDiscreteScheduler", KARRAS),
    SchedulerEntry("dpm2", "DPM2", "KDPM2DiscreteScheduler"),
    SchedulerEntry("dpm2-karras", "DPM2 Karras", "KDPM2DiscreteScheduler", KARRAS),
    SchedulerEntry("dpm2-a", "DPM2 a", "KDPM2AncestralDiscreteScheduler"),
    SchedulerEntry("dpm2-a-karras", "DPM2 a Karras", "KDPM2AncestralDiscreteScheduler", KARRAS),
    SchedulerEntry("dpmpp-2m", "DPM++ 2M", DPM),
    SchedulerEntry("dpmpp-2m-karras", "DPM++ 2M Karras", DPM, KARRAS),
    SchedulerEntry("dpmpp-2m-sde", "DPM++ 2M SDE", DPM, SDE),
    SchedulerEntry("dpmpp-2m-sde-karras", "DPM++ 2M SDE Karras", DPM, SDE | KARRAS),
    SchedulerEntry("dpmpp-2m-sde-exponential", "DPM++ 2M SDE Exponential", DPM, SDE | EXPONENTIAL),
    SchedulerEntry("dpmpp-sde", "DPM++ SDE", DPM_SDE),
    SchedulerEntry("dpmpp-sde-karras", "DPM++ SDE Karras", DPM_SDE, KARRAS),
    SchedulerEntry("ddim", "DDIM", "DDIMScheduler"),
    SchedulerEntry("ddpm", "DDPM", "DDPMScheduler"),
    SchedulerEntry("deis", "DEIS", "DEISMultistepScheduler"),
    SchedulerEntry("unipc", "UniPC", "UniPCMultistepScheduler"),
    SchedulerEntry("pndm", "PNDM (PLMS)", "PNDMScheduler"),
    SchedulerEntry("lcm", "LCM", "LCMScheduler", max_steps=50),
    SchedulerEntry("tcd", "TCD", "TCDScheduler", max_steps=50),
)


def _plain(name: str) -> str:
    return name.casefold().replace("+", "p").replace(" ", "").replace("-", "").replace("_", "")


_BY_NAME = {_plain(name): entry for entry in SCHEDULERS for name in (entry.id, entry.label)}


def find_scheduler(name: str) -> SchedulerEntry:
    """The entry with this id or label, whatever its case, spaces and dashes.

    Raises InvalidRequest naming the known ids.
    """
    try:
        return _BY_NAME[_plain(name)]
    except KeyError:
        known = ", ".join(entry.id for entry in SCHEDULERS)
        raise InvalidRequest(
            f"unknown scheduler {name!r}", field="scheduler", remedy=f"use one of: {known}"
        ) from None
