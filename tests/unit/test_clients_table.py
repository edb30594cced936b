"""The table in docs/clients.md is of the tests that there are, and `make clients-table` writes it."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.clients.table import FOLDER, HEAD, PAGE, TABLE, version_of

EMPTY = "# Clients\n<!-- clients-table -->\n<!-- /clients-table -->\nmore\n"
MODULE = """
import pytest

CLIENT, VERSION = "A client", "1.2"

@pytest.mark.calls("GET /a", "GET /b")
def test_one(): pass

@pytest.mark.calls("GET /b", "GET /c")
@pytest.mark.parametrize("ends", [True, {second}])
def test_two(ends): assert ends
"""


def modules() -> list[ModuleType]:
    return [
        importlib.import_module(f"tests.clients.{file.stem}") for file in sorted(FOLDER.glob("test_*.py"))
    ]


def calls_of(module: ModuleType) -> set[str]:
    tests = [value for name, value in inspect.getmembers(module) if name.startswith("test_")]
    marks = [mark for test in tests for mark in getattr(test, "pytestmark", [])]
    return {call for mark in marks if mark.name == "calls" for call in mark.args}


def documented() -> dict[str, tuple[str, str, str]]:
    found = TABLE.search(PAGE.read_text())
    assert found
    lines = found[0].splitlines()[3:-1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {client: (version, calls, result) for client, version, calls, result in rows}


def test_the_table_has_a_row_for_each_module() -> None:
    rows = documented()
    assert rows.keys() == {module.CLIENT for module in modules()}
    for module in modules():
        version, calls, result = rows[module.CLIENT]
        assert version == version_of(module)
        told = calls_of(module)
        assert told, module.__name__
        assert all(call in calls for call in told), module.__name__
        assert result.endswith("passed"), f"{module.CLIENT}: {result}"
        assert "failed" not in result


@pytest.mark.parametrize(
    ("second", "result", "status"), [("True", "3 passed", 0), ("False", "1 failed, 2 passed", 1)]
)
def test_the_command_runs_the_tests_and_writes_the_table(
    tmp_path: Path, second: str, result: str, status: int
) -> None:
    (tmp_path / "test_client.py").write_text(MODULE.format(second=second))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = calls\n")
    page = tmp_path / "page.md"
    page.write_text(EMPTY)
    program = (
        "import sys; from pathlib import Path; from tests.clients.table import main; "
        "sys.exit(main(sys.argv[1:], Path('page.md')))"
    )
    command = [sys.executable, "-c", program, "-p", "no:cacheprovider", "test_client.py"]
    paths = {"PYTHONPATH": f"{FOLDER.parents[1] / 'src'}:{FOLDER.parents[1]}", "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(command, cwd=tmp_path, env=paths, capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stdout
    row = f"| A client | 1.2 | GET /a, GET /b, GET /c | {result} |\n"
    assert page.read_text() == EMPTY.replace("-->\n<!--", f"-->\n{HEAD}{row}<!--")
