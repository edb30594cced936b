"""The memory ladder: how much of a model stays on the accelerator, from what is free there.

A step's peak is the largest of three moments: encoding, denoising, decoding. Each is the weights that are on
the device then, what is computed, and a reserve:

    encode = weights + RESERVE
    denoise = weights + UNET_BYTES · pixels · images · (bytes of a number / 2) · SLACK + RESERVE
    decode = weights + the VAE's in float32 + VAE_BYTES · pixels · images · SLACK + RESERVE

The two numbers of bytes for each pixel are the peak of live tensors in full SDXL's UNet (two samples, for the
guidance; fused attention) and decoder, counted on the meta device by `bench/activations.py`; the same from
512² to 2048². The encoder's number, 2560, is less. Decoding counts in float32, as most published VAEs ask
(`force_upcast`) and the second decoding of black images needs. In tiles, the pixels of one tile count, and
the finished picture. `SLACK` and `RESERVE` (workspace of convolutions, rounding of the allocator) are
assumptions. For four images of 1024² at once the formula says 23.0 GB in float16 and 29.9 GB in float32;
diffusers measured 21.7 and 28 GB on an A100 (https://hf.co/blog/simple_sdxl_optimizations). An H200, where
workspaces may be larger, took a tenth (1024²) to a fifth (2048²) more than the formula says.
"""

from __future__ import annotations

from enum import IntEnum

from ecurie.engine.need import ModelNeed

UNET_BYTES = 316
VAE_BYTES = 3072
SLACK = 1.2
RESERVE = 250_000_000
TILE_PIXELS = 512 * 512
# Decoded tiles and the picture put together from them: three colours in float32, overlapping, twice.
PICTURE_BYTES = 48
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")


class Step(IntEnum):
    """From the fastest to the one that needs least; each includes what those before it do."""

    ALL_RESIDENT = 0
    TEXT_TO_HOST = 1
    VAE_TILED = 2
    MODEL_OFFLOAD = 3
    SEQUENTIAL_OFFLOAD = 4

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


def plan(free_bytes: int, need: ModelNeed, width: int, height: int, images: int = 1) -> Step | None:
    """The first step that fits for `images` made at once; None when none does."""
    pixels = width * height * images
    return next((step for step in Step if peak(step, need, pixels) <= free_bytes), None)


def plan_on_cpu(free_bytes: int, need: ModelNeed, width: int, height: int) -> Step:
    """Where all is in the host's memory anyway, only decoding in tiles saves any. Asked before it is needed,
    since Linux kills a process sooner than it refuses it memory."""
    whole = _decoding(Step.ALL_RESIDENT, need, width * height)
    return Step.ALL_RESIDENT if whole <= free_bytes else Step.VAE_TILED


def peak(step: Step, need: ModelNeed, pixels: int) -> int:
    """The most bytes on the device at once, as the module says."""
    denoising = UNET_BYTES * pixels * need.value_bytes / 2 * SLACK
    decoding = _decoding(step, need, pixels)
    text, drawing = need.total(*TEXT_ENCODERS), need.total("unet", "vae")
    match step:
        case Step.ALL_RESIDENT:
            moments = [text + drawing + max(denoising, decoding)]
        case Step.TEXT_TO_HOST | Step.VAE_TILED:
            moments = [text + drawing, drawing + max(denoising, decoding)]
        case Step.MODEL_OFFLOAD:
            moments = [text, need.total("unet") + denoising, need.total("vae") + decoding]
        case Step.SEQUENTIAL_OFFLOAD:
            moments = [text, need.largest + denoising, need.total("vae") + decoding]
    return int(max(moments)) + RESERVE


def beside_weights(step: Step, need: ModelNeed, pixels: int) -> int:
    """The most bytes that drawing takes besides the model's weights."""
    denoising = UNET_BYTES * pixels * need.value_bytes / 2 * SLACK
    return int(max(denoising, _decoding(step, need, pixels))) + RESERVE


def _decoding(step: Step, need: ModelNeed, pixels: int) -> float:
    """Beyond the weights; encoding a picture takes a sixth less."""
    at_once = min(pixels, TILE_PIXELS) if step >= Step.VAE_TILED else pixels
    bytes_of_tile = need.parts["vae"].total * 4 / need.value_bytes + VAE_BYTES * at_once * SLACK
    return bytes_of_tile + (PICTURE_BYTES * pixels if step >= Step.VAE_TILED else 0)


def lower(step: Step, on_cpu: bool) -> Step | None:
    """The step after an out-of-memory error. On the CPU the offloading ones would move nothing."""
    last = Step.VAE_TILED if on_cpu else Step.SEQUENTIAL_OFFLOAD
    return Step(step + 1) if step < last else None
