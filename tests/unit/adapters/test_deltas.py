"""The oracle: what `lycoris-lora`'s own modules compute when they train (their forward pass)."""

from __future__ import annotations

import pytest

from bench.lycoris_oracle import CASES, LAYERS, NORM_LAYERS, error, norm_error
from bench.oracle_table import COMBINATIONS, WEIGHTS


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", CASES)
def test_the_patched_weight_acts_as_the_trained_module(name: str, layer: str) -> None:
    for rank, alpha, weight in COMBINATIONS:
        assert error(name, layer, rank, alpha, weight) < 1e-5, (rank, alpha, weight)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("layer", NORM_LAYERS)
def test_the_patched_norm_acts_as_the_trained_module(layer: str, weight: float) -> None:
    assert norm_error(layer, weight) < 1e-5
