"""The oracle: what `lycoris-lora`'s own modules compute when they train (their forward pass)."""

from __future__ import annotations

import pytest
import torch

from bench.lycoris_oracle import CASES, LAYERS, NORM_LAYERS, delta_of, error, norm_error, stored, trained
from bench.oracle_table import COMBINATIONS, WEIGHTS
from ecurie.adapters.deltas import at


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", CASES)
def test_the_patched_weight_acts_as_the_trained_module(name: str, layer: str) -> None:
    for rank, alpha, weight in COMBINATIONS:
        assert error(name, layer, rank, alpha, weight) < 1e-5, (rank, alpha, weight)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("layer", NORM_LAYERS)
def test_the_patched_norm_acts_as_the_trained_module(layer: str, weight: float) -> None:
    assert norm_error(layer, weight) < 1e-5


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", CASES)
def test_everything_of_an_adapter_goes_to_the_device_of_the_weight(name: str, layer: str) -> None:
    """The meta device computes shapes only, but refuses what is elsewhere, as an accelerator does."""
    algorithm, kind, options = CASES[name]
    base = LAYERS[layer]()
    delta = delta_of(algorithm, stored(trained(kind, base, 1.0, {"lora_dim": 4, "alpha": 2} | options)))
    meta = torch.device("meta")
    change = at(delta, meta).of(base.weight.detach().to(meta), 0.7)
    assert (change.device, change.shape) == (meta, base.weight.shape)
