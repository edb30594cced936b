"""The oracle for factors: `lycoris-lora`'s formulas are written out anew by plain loops here; images against
diffusers and PEFT are compared in test_images.py."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from ecurie.adapters.lora import delta_of, make_factors


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
    delta = delta_of([(make_factors(up, down, None, alpha), weight)]).double().reshape(5, 6, *kernel)
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
    delta = delta_of([(make_factors(up, down, mid, 2.0), 0.7)]).double().reshape(5, 6, 3, 3)
    got = functional.conv2d(image, delta, padding=1)
    torch.testing.assert_close(got, layers * 0.5 * 0.7, rtol=1e-5, atol=1e-5)


def test_rank_stabilised_scaling_divides_by_the_root() -> None:
    down, up = randoms((4, 6), (5, 4))
    plain, stable = (make_factors(up, down, None, 3.0, rank_stabilised=flag).scale for flag in (False, True))
    assert (plain, stable) == (3 / 4, 3 / math.sqrt(4))


def test_a_stack_is_the_sum_of_its_deltas() -> None:
    pairs = []
    for seed, rank, weight in ((1, 2, 0.5), (2, 8, -1.0), (3, 4, 2.0)):
        torch.manual_seed(seed)
        pairs.append((make_factors(torch.randn(5, rank), torch.randn(rank, 6), None, 1.0), weight))
    together = delta_of(pairs)
    torch.testing.assert_close(together, torch.stack([delta_of([pair]) for pair in pairs]).sum(dim=0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_factors_are_computed_in_single_precision(dtype: torch.dtype) -> None:
    factors = make_factors(torch.ones(5, 4, dtype=dtype), torch.ones(4, 6, dtype=dtype), None, None)
    assert (factors.up.dtype, factors.down.dtype) == (torch.float32, torch.float32)
