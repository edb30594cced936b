"""From a scheduler's name to a fresh instance: one for every image, never shared."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers

from ecurie.catalog.schedulers import find_scheduler


def make_scheduler(name: str, model_config: dict[str, object], seed: int) -> Any:
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
