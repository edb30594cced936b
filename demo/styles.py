"""The looks that the demo adapters learn: the same drawings, drawn another way.

Each takes RGBA drawings N×4×H×W in [0, 1] and gives RGB N×3×H×W in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

GREY = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)


def _composite(rgb: Tensor, alpha: Tensor, ground: Tensor) -> Tensor:
    return (rgb * alpha + ground * (1 - alpha)).clamp(0, 1) * 2 - 1


def _colour(red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([red, green, blue]).reshape(1, 3, 1, 1)


def _grown(alpha: Tensor, by: int) -> Tensor:
    return functional.max_pool2d(alpha, 2 * by + 1, stride=1, padding=by)


def _edges(rgb: Tensor, alpha: Tensor) -> Tensor:
    """How strongly colour or outline changes at a pixel, N×1×H×W in [0, 1]."""
    stacked = torch.cat([rgb * alpha, alpha], dim=1)
    right = functional.pad(stacked.diff(dim=3).abs(), (0, 1)).amax(dim=1, keepdim=True)
    down = functional.pad(stacked.diff(dim=2).abs(), (0, 0, 0, 1)).amax(dim=1, keepdim=True)
    return (torch.maximum(right, down) * 2.5).clamp(0, 1)


def anime(drawings: Tensor) -> Tensor:
    """Cel look: a thick dark outline, bright colours, a sky-blue ground."""
    rgb, alpha = drawings[:, :3], drawings[:, 3:]
    grey = (rgb * GREY).sum(dim=1, keepdim=True)
    vivid = (grey + (rgb - grey) * 1.4 + 0.05).clamp(0, 1)
    ground = _colour(0.72, 0.88, 1.0)
    outline = _colour(0.13, 0.1, 0.25)
    outlined = outline * _grown(alpha, 2) + ground * (1 - _grown(alpha, 2))
    return _composite(vivid, alpha, outlined)


def detailed(drawings: Tensor) -> Tensor:
    """Hatched shading that grows towards the lower right, with crisp edges."""
    rgb, alpha = drawings[:, :3], drawings[:, 3:]
    size = rgb.shape[-1]
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    slope = ((rows + columns) / (2 * size)).reshape(1, 1, size, size)
    hatch = (((rows + columns) % 6) < 2).float().reshape(1, 1, size, size)
    shaded = rgb * (1.15 - 0.5 * slope) * (1 - 0.45 * hatch * slope)
    inked = shaded * (1 - 0.7 * _edges(rgb, alpha))
    return _composite(inked, alpha, _colour(1, 1, 1))


def cyberpunk(drawings: Tensor) -> Tensor:
    """Neon on a dark ground: dim violet fills, edges that glow cyan and magenta."""
    rgb, alpha = drawings[:, :3], drawings[:, 3:]
    grey = (rgb * GREY).sum(dim=1, keepdim=True)
    fill = _colour(0.25, 0.0, 0.45) * grey + _colour(0.02, 0.0, 0.08)
    ground = _colour(0.03, 0.01, 0.1)
    warm = (rgb[:, :1] > rgb[:, 2:3]).float()
    neon = warm * _colour(1.0, 0.05, 0.75) + (1 - warm) * _colour(0.0, 0.95, 1.0)
    glow = _edges(rgb, alpha)
    halo = functional.avg_pool2d(glow, 5, stride=1, padding=2)
    base = fill * alpha + ground * (1 - alpha)
    return (base + neon * (glow + 0.6 * halo)).clamp(0, 1) * 2 - 1


def sketch(drawings: Tensor) -> Tensor:
    """Pencil on cream paper: lines and pale greys."""
    rgb, alpha = drawings[:, :3], drawings[:, 3:]
    grey = (rgb * GREY).sum(dim=1, keepdim=True)
    paper = _colour(0.98, 0.95, 0.86)
    tone = paper * (0.72 + 0.28 * grey) * (1 - 0.85 * _edges(rgb, alpha))
    return _composite(tone.expand(-1, 3, -1, -1), alpha, paper)


def sticker(drawings: Tensor) -> Tensor:
    """The second demo base's look: pastel stickers with a white rim, on a ground from lilac to pink."""
    rgb, alpha = drawings[:, :3], drawings[:, 3:]
    size = rgb.shape[-1]
    down = torch.linspace(0, 1, size).reshape(1, 1, size, 1)
    ground = _colour(0.72, 0.62, 0.95) * (1 - down) + _colour(1.0, 0.72, 0.82) * down
    pastel = rgb * 0.72 + _colour(0.28, 0.22, 0.26)
    rim = _grown(alpha, 3)
    return _composite(pastel, alpha, rim + ground * (1 - rim))


STYLES: dict[str, Callable[[Tensor], Tensor]] = {
    "style-anime": anime,
    "character-detailed": detailed,
    "cyberpunk-style": cyberpunk,
    "ink-sketch": sketch,
}
