"""Where a model's parts are while they work and while they rest, as the step of the memory ladder says.

Away from an accelerator means in the host's memory. Away from a CPU means nowhere: the part is dropped, and
read from its file when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import cpu_offload
from accelerate.hooks import remove_hook_from_module
from diffusers import AutoencoderKL
from torch import nn

from ecurie.adapters.parallel import Check, go_on
from ecurie.adapters.patcher import Signature
from ecurie.adapters.upload import Moved, move, put_back
from ecurie.engine.checking import checked
from ecurie.engine.devices import Compute
from ecurie.engine.loader import Model
from ecurie.engine.memory import TEXT_ENCODERS, Step
from ecurie.engine.modules import drop

META = torch.device("meta")


def parts_of(model: Model) -> dict[str, nn.Module]:
    first, second = model.text_encoders
    return {"unet": model.unet, "vae": model.vae, "text_encoder": first, "text_encoder_2": second}


def place_of(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


class Placement:
    """`check` is called while parts are read or work."""

    def __init__(self, model: Model, compute: Compute, step: Step, check: Check = go_on):
        self._model, self._compute, self._step, self._check = model, compute, step, check
        self._parts = parts_of(model)
        self._away = _parts_away(step)
        self._brought: dict[str, tuple[Moved, Signature]] = {}

    def settle(self) -> None:
        """Bring every part where it rests at this step. Raises what the device raises when it is full."""
        _tile(self._model.vae, self._step >= Step.VAE_TILED)
        for name in self._away:
            self._put_away(name)
        for name in self._parts.keys() - self._away:
            self._bring(name)

    @contextmanager
    def at_work(self, *names: str) -> Iterator[None]:
        """Within, these parts can compute on the device; after it they rest, whatever happened."""
        try:
            for name in names:
                if name == "unet" and self._step is Step.SEQUENTIAL_OFFLOAD:
                    # Each layer's weights are on the device only while it runs.
                    cpu_offload(self._parts[name], self._compute.device)
                else:
                    self._bring(name)
            with checked((self._parts[name] for name in names), self._check):
                yield
        finally:
            for name in names:
                if self._step is Step.SEQUENTIAL_OFFLOAD:
                    remove_hook_from_module(self._parts[name], recurse=True)
                if name in self._away:
                    self._put_away(name)

    def _bring(self, name: str) -> None:
        module = self._parts[name]
        if place_of(module) == META:
            self._model.refill(name, self._check)
        if place_of(module).type != self._compute.device.type:
            moved = move(module, self._compute.device)
            if name in self._away:
                self._brought[name] = moved, self._model.patcher.signature(name)

    def _put_away(self, name: str) -> None:
        module = self._parts[name]
        if not self._compute.on_cpu:
            moved, signature = self._brought.pop(name, ([], None))
            put_back(module, moved if signature == self._model.patcher.signature(name) else [])
        elif self._step < Step.MODEL_OFFLOAD:
            drop(module)
            self._model.patcher.forget(name)


def _parts_away(step: Step) -> frozenset[str]:
    if step >= Step.MODEL_OFFLOAD:
        return frozenset({"unet", "vae", *TEXT_ENCODERS})
    return frozenset(TEXT_ENCODERS if step >= Step.TEXT_TO_HOST else ())


def _tile(vae: AutoencoderKL, wanted: bool) -> None:
    """In tiles of half the side that the VAE was trained for (512 pixels for SDXL), one image at a time."""
    vae.use_slicing = vae.use_tiling = wanted
    vae.tile_sample_min_size = vae.config.sample_size // 2
    vae.tile_latent_min_size = vae.tile_sample_min_size // 2 ** (len(vae.config.block_out_channels) - 1)
