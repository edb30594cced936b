"""Request before catalogue before the model's files."""

from __future__ import annotations

from typing import Any

import pytest

from ecurie.catalog.entries import ModelEntry
from ecurie.catalog.prediction import Prediction, settle_prediction

EPSILON = {"prediction_type": "epsilon"}
NOOB = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}


@pytest.mark.parametrize(
    ("config", "entry", "asked", "settled"),
    [
        ({}, {}, (None, None, None), ("epsilon", False, 0.0)),
        (EPSILON, {}, (None, None, None), ("epsilon", False, 0.0)),
        (NOOB, {}, (None, None, None), ("v_prediction", True, 0.7)),
        (EPSILON, {"prediction_type": "v_prediction"}, (None, None, None), ("v_prediction", False, 0.0)),
        (NOOB, {"zero_snr": False}, (None, None, None), ("v_prediction", False, 0.0)),
        (NOOB, {"zero_snr": False}, (None, True, 0.3), ("v_prediction", True, 0.3)),
        (NOOB, {}, ("epsilon", False, None), ("epsilon", False, 0.0)),
    ],
)
def test_the_nearest_word_wins(
    config: dict[str, Any],
    entry: dict[str, Any],
    asked: tuple[str | None, bool | None, float | None],
    settled: tuple[str, bool, float],
) -> None:
    model = ModelEntry(name="x", source="./x", **entry)
    assert settle_prediction(config, model, *asked) == Prediction(*settled)
