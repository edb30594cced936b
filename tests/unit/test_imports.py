"""The command line and the HTTP interface start quickly, because they load no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "diffusers", "transformers", "compel", "scipy")


@pytest.mark.parametrize(
    "module", ["ecurie.api.app", "ecurie.cli.app", "ecurie.bootstrap", "ecurie.supervisor"]
)
def test_importing_loads_no_torch(module: str) -> None:
    program = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_help_loads_nothing_that_takes_long() -> None:
    """So it appears in less than half a second (0.4 s when this was written)."""
    command = [sys.executable, "-X", "importtime", "-m", "ecurie", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {*HEAVY, "celery", "fastapi", "httpx2", "numpy", "PIL", "pydantic", "sqlalchemy"}


def test_the_client_loads_nothing_of_the_server() -> None:
    """So it takes 10 ms after httpx2's 105 (when this was written), and its folder can be copied."""
    command = [sys.executable, "-X", "importtime", "-c", "import ecurie.client"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "httpx2" in loaded
    assert not loaded & {*HEAVY, "fastapi", "numpy", "PIL", "pydantic", "rich", "sqlalchemy", "typer"}
    ours = {name for name in loaded if name.startswith("ecurie") and not name.startswith("ecurie.client")}
    assert ours == {"ecurie", "ecurie.errors"}
