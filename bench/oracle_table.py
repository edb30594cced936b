"""How far Écurie's weights are from LyCORIS' and PEFT's, as a Markdown table: `make oracle-table`.

Each number is the greatest relative error over the ranks, alphas and weights below, in float32.
"""

from __future__ import annotations

import itertools
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from bench import lycoris_oracle, peft_oracle

LAYERS = tuple(lycoris_oracle.LAYERS)
COLUMNS = ("algorithm", "oracle", *LAYERS, "norm")
# Rank, alpha.
STRENGTHS = ((4, 6.0), (8, 2.0), (4, 1.0))
WEIGHTS = (1.0, 0.3, -0.7)
Combination = tuple[int, float, float]
COMBINATIONS: tuple[Combination, ...] = tuple(
    (rank, alpha, weight) for (rank, alpha), weight in itertools.product(STRENGTHS, WEIGHTS)
)
NOTHING = "—"


def row_names() -> list[tuple[str, str]]:
    """Algorithm and oracle of every row, in order."""
    lycoris = [(name, "lycoris-lora") for name in (*lycoris_oracle.CASES, "norm")]
    return lycoris + [(name, "peft") for name in peft_oracle.CASES]


def rows(combinations: Sequence[Combination] = COMBINATIONS) -> Iterator[tuple[str, ...]]:
    for name, oracle in row_names():
        if oracle == "peft":
            errors = _peft(name, combinations)
        elif name == "norm":
            errors = {"norm": _norm(combinations)}
        else:
            errors = {
                layer: max(lycoris_oracle.error(name, layer, *one) for one in combinations)
                for layer in LAYERS
            }
        cells = (f"{errors[column]:.1e}" if column in errors else NOTHING for column in COLUMNS[2:])
        yield name, oracle, *cells


def _norm(combinations: Sequence[Combination]) -> float:
    weights = {weight for *_, weight in combinations}
    return max(
        lycoris_oracle.norm_error(layer, weight)
        for layer, weight in itertools.product(lycoris_oracle.NORM_LAYERS, weights)
    )


def _peft(name: str, combinations: Sequence[Combination]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in combinations:
        with tempfile.TemporaryDirectory() as folder:
            for layer, error in peft_oracle.errors(name, *one, Path(folder)).items():
                found[layer] = max(found.get(layer, 0.0), error)
    return found


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    print(line(COLUMNS))
    print(line(["---"] * len(COLUMNS)))
    for row in rows():
        print(line(row), flush=True)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("lycoris-lora", "peft", "torch"))
    print(f"\nOracles: {versions}.")


if __name__ == "__main__":
    main()
