"""Pairs for training the demo IP-Adapter: a picture to draw and the reference that tells how.

Half of the pairs are one drawing twice, in some hue, the reference a little shifted and scaled; its caption
is mostly empty, so shape and colour can only come from the reference. The other half are two drawings in the
same colour with the caption of the one to draw: shape from the words, colour from the reference.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from demo import emoji

SAME_SHARE, DROPPED_SHARE, CAPTION_SHARE, UNCHANGED_SHARE = 0.5, 0.08, 0.3, 0.35
LUMA = torch.tensor([0.299, 0.587, 0.114])
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Pairs:
    """Both N×3×H×W in [-1, 1]; `kept` is 0 where the reference is dropped, N; "" is the empty condition."""

    targets: Tensor
    references: Tensor
    kept: Tensor
    captions: list[str]


def on_white(rgb: Tensor, alpha: Tensor) -> Tensor:
    return (rgb * alpha + 1 - alpha) * 2 - 1


def turned(rgb: Tensor, angle: float) -> Tensor:
    """The hue turned by `angle` (a rotation of the I-Q plane of YIQ), greys unchanged."""
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    matrix = torch.linalg.inv(_YIQ) @ turn @ _YIQ
    return torch.einsum("ij,jhw->ihw", matrix, rgb).clamp(0, 1)


def tinted(rgb: Tensor, alpha: Tensor, colour: Tensor) -> Tensor:
    """Shades of one colour (3 values): the drawing's mean luma becomes the colour itself."""
    luma = torch.einsum("i,ihw->hw", LUMA, rgb)
    mean = (luma * alpha[0]).sum() / alpha.sum().clamp(min=1)
    shade = ((luma - mean) * 1.3).clamp(-0.8, 0.8)[None]
    tint = colour[:, None, None]
    return torch.where(shade < 0, tint * (1 + shade), tint + (1 - tint) * shade)


def random_colour(generator: torch.Generator) -> Tensor:
    """A saturated hue of random brightness, 3 values in [0, 1]."""
    hue, depth, value = torch.rand(3, generator=generator).tolist()
    low, high = 0.35 * depth, 0.6 + 0.4 * value
    sector, rise = int(hue * 6), hue * 6 % 1
    up, down = low + (high - low) * rise, high - (high - low) * rise
    six = [
        (high, up, low),
        (down, high, low),
        (low, high, up),
        (low, down, high),
        (up, low, high),
        (high, low, down),
    ]
    return torch.tensor(six[sector])


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each shifted by up to a tenth and scaled by up to 15 %, white around."""
    count = len(images)
    scale = 1 + 0.3 * (torch.rand(count, generator=generator) - 0.5)
    shift = 0.2 * (torch.rand(count, 2, generator=generator) - 0.5)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, :, 2] = shift
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images - 1, grid, align_corners=False) + 1


def make_pairs(drawings: emoji.Drawings, chosen: list[int], other: list[int], seed: int) -> Pairs:
    """One pair for each of `chosen`; `other` gives the references of the pairs of two drawings."""
    generator, dice = torch.Generator().manual_seed(seed), random.Random(seed)
    rgba = torch.from_numpy(drawings.pixels[[*chosen, *other]]).permute(0, 3, 1, 2).float() / 255
    targets, references, captions = [], [], []
    kept = torch.tensor([float(dice.random() >= DROPPED_SHARE) for _ in chosen])
    for index, drawn in enumerate(chosen):
        (rgb, alpha), (other_rgb, other_alpha) = (
            (picture[:3], picture[3:]) for picture in (rgba[index], rgba[len(chosen) + index])
        )
        caption = emoji.caption(drawings.names[drawn], dice)
        if not kept[index]:
            other_rgb, other_alpha = rgb, alpha
        elif dice.random() < SAME_SHARE:
            if dice.random() >= UNCHANGED_SHARE:
                rgb = turned(rgb, dice.uniform(0, 2 * math.pi))
            other_rgb, other_alpha = rgb, alpha
            caption = caption if dice.random() < CAPTION_SHARE else ""
        else:
            colour = random_colour(generator)
            rgb, other_rgb = tinted(rgb, alpha, colour), tinted(other_rgb, other_alpha, colour)
        targets.append(on_white(rgb, alpha))
        references.append(on_white(other_rgb, other_alpha))
        captions.append(caption)
    return Pairs(torch.stack(targets), moved(torch.stack(references), generator), kept, captions)
