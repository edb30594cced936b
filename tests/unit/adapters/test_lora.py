"""The oracle for factors: `lycoris-lora`'s formulas are written out anew by plain loops here; images against
diffusers and PEFT are compared in test_images.py."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from ecurie.adapters.deltas import lora


def randoms(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("alpha", [None, 1.0, 8.0])
@pytest.mark.parametrize("weight", [0.3, 1.0, -0.7])
@pytest.mark.parametrize("kernel", [(), (1, 1), (3, 3)])
def test_the_delta_acts_as_the_two_layers_in_a_row(
    alpha: float | None, weight: float, kernel: tuple[int, ...]
) -> None:
    """The definition: x -> up(down(x)) · alpha/rank · weight, computed by torch's own layers in float64."""
    down, up, image = randoms((4, 6, *kernel), (5, 4, *(1 for _ in kernel)), (2, 6, 7, 7))
    scale = weight * (1.0 if alpha is None else alpha / 4)
    tensors = {"up": up.float(), "down": down.float()}
    if alpha is not None:
        tensors["alpha"] = torch.tensor(alpha)
    delta = lora.read(tensors).of(torch.zeros(5, 6, *kernel), weight).double()
    if kernel:
        padding = kernel[0] // 2
        expected = functional.conv2d(functional.conv2d(image, down, padding=padding), up) * scale
        got = functional.conv2d(image, delta, padding=padding)
    else:
        rows = image.movedim(1, -1)
        expected = functional.linear(functional.linear(rows, down), up) * scale
        got = functional.linear(rows, delta)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_a_tucker_delta_acts_as_the_three_convolutions_in_a_row() -> None:
    down, mid, up, image = randoms((4, 6, 1, 1), (4, 4, 3, 3), (5, 4, 1, 1), (2, 6, 7, 7))
    layers = functional.conv2d(functional.conv2d(functional.conv2d(image, down), mid, padding=1), up)
    tensors = {"up": up.float(), "down": down.float(), "mid": mid.float(), "alpha": torch.tensor(2.0)}
    delta = lora.read(tensors).of(torch.zeros(5, 6, 3, 3), 0.7).double()
    got = functional.conv2d(image, delta, padding=1)
    torch.testing.assert_close(got, layers * 0.5 * 0.7, rtol=1e-5, atol=1e-5)


def test_rank_stabilised_scaling_divides_by_the_root() -> None:
    down, up = randoms((4, 6), (5, 4))
    tensors = {"up": up.float(), "down": down.float(), "alpha": torch.tensor(3.0)}
    assert lora.read(tensors).scale == 3 / 4
    assert lora.read(tensors | {"rank_stabilised": torch.tensor(1.0)}).scale == 3 / math.sqrt(4)


def test_a_stack_is_the_sum_of_its_deltas() -> None:
    pairs, weight = [], torch.zeros(5, 6)
    for seed, rank, multiplier in ((1, 2, 0.5), (2, 8, -1.0), (3, 4, 2.0)):
        torch.manual_seed(seed)
        pairs.append((lora.read({"up": torch.randn(5, rank), "down": torch.randn(rank, 6)}), multiplier))
    one_by_one = torch.stack([one.of(weight, multiplier) for one, multiplier in pairs]).sum(dim=0)
    up, down = lora.factors_of(pairs)
    torch.testing.assert_close(up @ down, one_by_one)
