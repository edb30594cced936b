"""What a model's UNet predicts, settled from the request, the catalogue and the model's own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecurie.catalog.entries import ModelEntry

# The factor that Lin et al. 2023 (arXiv:2305.08891, section 3.4) recommend for zero terminal SNR.
RECOMMENDED_RESCALE = 0.7


@dataclass(frozen=True, slots=True)
class Prediction:
    type: str
    zero_snr: bool
    guidance_rescale: float


def settle_prediction(
    config: Mapping[str, Any],
    entry: ModelEntry,
    prediction_type: str | None,
    zero_snr: bool | None,
    guidance_rescale: float | None,
) -> Prediction:
    """`config` is the model's scheduler configuration; the request's values win, then the catalogue's."""
    settled_type = prediction_type or entry.prediction_type or str(config.get("prediction_type", "epsilon"))
    stated = (zero_snr, entry.zero_snr, config.get("rescale_betas_zero_snr"), False)
    settled_snr = bool(next(value for value in stated if value is not None))
    recommended = RECOMMENDED_RESCALE if settled_type == "v_prediction" and settled_snr else 0.0
    return Prediction(
        settled_type, settled_snr, recommended if guidance_rescale is None else guidance_rescale
    )
