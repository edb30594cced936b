"""`make clients-table`: run the tests of the clients, and write what they showed into docs/clients.md.

A module of them names its CLIENT and VERSION; the mark `calls` of a test says what it exercises.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

import ecurie

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "clients.md"
TABLE = re.compile(r"(<!-- clients-table -->\n).*?(<!-- /clients-table -->)", re.DOTALL)
OURS = "this one"
HEAD = "| client | version | calls exercised | result |\n|---|---|---|---|\n"


@dataclass
class Row:
    client: str
    version: str
    calls: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        result = ", ".join(f"{number} {outcome}" for outcome, number in sorted(self.outcomes.items()))
        return f"| {self.client} | {self.version} | {', '.join(self.calls)} | {result} |"


class Rows:
    """A pytest plugin: one row for each module, filled as its tests end."""

    def __init__(self) -> None:
        self._by_module: dict[str, Row] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        for item in items:
            module = item.module
            row = self._by_module.setdefault(_module_of(item.nodeid), Row(module.CLIENT, version_of(module)))
            for mark in item.iter_markers("calls"):
                row.calls += [call for call in mark.args if call not in row.calls]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._by_module[_module_of(report.nodeid)].outcomes[report.outcome] += 1

    def sorted(self) -> list[Row]:
        return sorted(self._by_module.values(), key=lambda row: row.client.casefold())


def version_of(module: ModuleType) -> str:
    """Our own changes with every commit."""
    return OURS if ecurie.__version__ == module.VERSION else module.VERSION


def _module_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def with_table(page: str, rows: list[Row]) -> str:
    lines = "".join(f"{row.line()}\n" for row in rows)
    text, replaced = TABLE.subn(lambda found: f"{found[1]}{HEAD}{lines}{found[2]}", page)
    assert replaced == 1, "the page has no place for the table"
    return text


def main(arguments: list[str], page: Path) -> int:
    """The exit status of pytest: 0 when everything passed."""
    rows = Rows()
    status = pytest.main(["-q", *arguments], plugins=[rows])
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        page.write_text(with_table(page.read_text(), rows.sorted()))
    return int(status)


if __name__ == "__main__":
    sys.exit(main([str(FOLDER)], PAGE))
