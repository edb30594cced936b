"""The table in docs/adapters.md is the one that `make oracle-table` prints."""

from __future__ import annotations

import re
from pathlib import Path

from bench.oracle_table import COLUMNS, NOTHING, line, row_names, rows
from ecurie.adapters.deltas import ALGORITHMS

DOC = Path(__file__).parents[2] / "docs" / "adapters.md"
ONE = [(4, 6.0, 0.3)]


def documented() -> list[list[str]]:
    found = re.search(
        r"<!-- oracle-table -->\n(.+?)\n\n.*?<!-- /oracle-table -->", DOC.read_text(), re.DOTALL
    )
    assert found
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def test_the_docs_have_the_rows_and_columns_of_the_command() -> None:
    header, _, *body = documented()
    assert tuple(header) == COLUMNS
    assert [(algorithm, oracle) for algorithm, oracle, *_ in body] == row_names()


def test_every_documented_error_is_small_and_only_norms_leave_layers_out() -> None:
    for algorithm, _, *cells in documented()[2:]:
        numbers = [float(cell) for cell in cells if cell != NOTHING]
        assert len(numbers) == (1 if algorithm == "norm" else 4)
        assert max(numbers) < 1e-5


def test_the_command_gives_these_rows_with_small_errors() -> None:
    for given, written in zip(rows(ONE), documented()[2:], strict=True):
        assert list(given[:2]) == written[:2]
        assert [cell == NOTHING for cell in given] == [cell == NOTHING for cell in written]
        assert all(float(cell) < 1e-5 for cell in given[2:] if cell != NOTHING)
        assert line(given).count("|") == len(COLUMNS) + 1


def test_no_algorithm_is_without_an_oracle() -> None:
    from bench import lycoris_oracle, peft_oracle

    compared = {algorithm for algorithm, *_ in lycoris_oracle.CASES.values()} | {"norm"}
    compared |= {label.removesuffix(" (DoRA)") for label, *_ in peft_oracle.CASES.values()}
    assert compared == ALGORITHMS.keys()
