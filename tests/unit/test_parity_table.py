"""The table in docs/parity.md is the one that `make parity-table` prints."""

from __future__ import annotations

import re
from pathlib import Path

from bench.parity import ORACLES, rows, tasks

DOC = Path(__file__).parents[2] / "docs" / "parity.md"


def documented() -> list[list[str]]:
    found = re.search(r"<!-- parity-table -->\n(.+?)\n\n", DOC.read_text(), re.DOTALL)
    assert found
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def test_the_docs_have_every_scheduler_and_task_and_no_difference_above_1(tmp_path: Path) -> None:
    header, _, *body = documented()
    assert header == ["scheduler", *tasks(tmp_path)]
    assert [name for name, *_ in body] == list(ORACLES)
    assert all(int(cell) <= 1 for _, *cells in body for cell in cells)


def test_the_command_gives_these_rows(tmp_path: Path) -> None:
    (made,) = rows(["euler-a"], tmp_path)
    (written,) = (cells for name, *cells in documented() if name == "euler-a")
    assert made == ("euler-a", list(map(int, written)))
