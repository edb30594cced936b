"""Which models are in memory: the last few used stay, so that switching back costs nothing."""

from __future__ import annotations

import gc
from collections import OrderedDict
from pathlib import Path

import torch

from ecurie.engine.devices import Compute
from ecurie.engine.loader import Model, load_model
from ecurie.formats.diffusers_folder import FolderFacts


class Residency:
    """At most `limit` models; the least recently used leaves before a new one comes in."""

    def __init__(self, compute: Compute, limit: int):
        self._compute, self._limit = compute, limit
        self._models: OrderedDict[tuple[Path, object], Model] = OrderedDict()

    def activate(self, folder: Path, facts: FolderFacts) -> Model:
        """The model of this folder, loaded if it must be: also when its files were replaced since.

        Raises what `load_model` raises.
        """
        key = (folder, facts.stamp)
        model = self._models.get(key)
        if model is None:
            self._make_room()
            model = load_model(folder, facts, self._compute)
            self._models[key] = model
        self._models.move_to_end(key)
        return model

    def _make_room(self) -> None:
        left = False
        while len(self._models) >= self._limit:
            self._models.popitem(last=False)
            left = True
        if left:
            gc.collect()
            if self._compute.device.type == "cuda":
                torch.cuda.empty_cache()
