"""From a scheduler's name to a fresh instance: one for every image, never shared."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import diffusers
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

from ecurie.catalog.schedulers import find_scheduler

# Diffusers imports a scheduler when its name is first used, and every scheduler compares itself with these:
# now, while imports are quick.
for compatible in KarrasDiffusionSchedulers:
    getattr(diffusers, compatible.name)

# Betas that end in pure noise are of use only if the first step is at their end.
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def noise_schedule(published: Mapping[str, Any], prediction_type: str, zero_snr: bool) -> dict[str, Any]:
    """A model's published scheduler configuration with what a request has settled."""
    schedule = {**published, "prediction_type": prediction_type, "rescale_betas_zero_snr": False}
    return schedule | ZERO_SNR if zero_snr else schedule


def make_scheduler(name: str, model_config: Mapping[str, Any], seed: int) -> Any:
    """A diffusers scheduler with the model's noise schedule and the named options.

    Schedulers that draw noise of their own (DPM++ SDE) get `seed`, so that an image depends on its request
    alone. Raises InvalidRequest for an unknown name.
    """
    entry = find_scheduler(name)
    kind = getattr(diffusers, entry.class_name or str(model_config["_class_name"]))
    options = dict(entry.options)
    if "noise_sampler_seed" in inspect.signature(kind.__init__).parameters:
        options["noise_sampler_seed"] = seed
    return kind.from_config(model_config, **options)
