"""Peak bytes of live tensors in a UNet step, a VAE decode and encode of full SDXL, for `engine/memory.py`.

Computed on the meta device, so neither memory nor a GPU is needed: every storage that an operation makes is
counted until it is freed. Attention counts as on an accelerator with fused kernels, which keep no matrix of
all pairs. Not counted: what cuDNN and the allocator take beyond that.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.full_size import empty_parts


class Peak(TorchDispatchMode):
    """`peak` is the most bytes that were alive at once of what was made inside, weights apart."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._known = {parameter.untyped_storage()._cdata for parameter in module.parameters()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.alive += storage.nbytes()
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._free, key, storage.nbytes())

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size


def fused_attention(query: Tensor, _key: Tensor, value: Tensor, *_rest: Any, **_options: Any) -> Tensor:
    return torch.empty(*query.shape[:-1], value.shape[-1], dtype=query.dtype, device=query.device)


def peak_of(module: nn.Module, work: Callable[[], Any]) -> int:
    place = "torch.nn.functional.scaled_dot_product_attention"
    with torch.no_grad(), mock.patch(place, fused_attention), Peak(module) as counter:
        work()
    return counter.peak


def step_peak(unet: nn.Module, side: int) -> int:
    """Of a step with guidance: two samples, float16."""

    def half(*shape: int) -> Tensor:
        return torch.empty(*shape, dtype=torch.float16, device="meta")

    added = {"text_embeds": half(2, 1280), "time_ids": half(2, 6)}
    latents, text, moment = (
        half(2, 4, side // 8, side // 8),
        half(2, 77, 2048),
        torch.empty((), device="meta"),
    )
    return peak_of(unet, lambda: unet(latents, moment, text, added_cond_kwargs=added))


def decode_peak(vae: Any, side: int, dtype: torch.dtype) -> int:
    latents = torch.empty(1, 4, side // 8, side // 8, dtype=dtype, device="meta")
    return peak_of(vae, lambda: vae.decode(latents))


def encode_peak(vae: Any, side: int, dtype: torch.dtype) -> int:
    pixels = torch.empty(1, 3, side, side, dtype=dtype, device="meta")
    return peak_of(vae, lambda: vae.encode(pixels))


def main() -> None:
    unet, vae = empty_parts()["unet"].half().eval(), empty_parts()["vae"].eval()
    for side in (512, 1024, 2048):
        print(f"UNet step, float16, {side}²: {step_peak(unet, side) / side**2:,.0f} bytes for each pixel")
        for dtype in (torch.float16, torch.float32):
            peak = decode_peak(vae.to(dtype), side, dtype)
            print(f"VAE decode, {dtype}, {side}²: {peak / side**2:,.0f} bytes for each pixel")
            peak = encode_peak(vae, side, dtype)
            print(f"VAE encode, {dtype}, {side}²: {peak / side**2:,.0f} bytes for each pixel")


if __name__ == "__main__":
    main()
