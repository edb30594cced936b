"""The command line and the HTTP interface start quickly, because they load no torch."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "diffusers", "transformers", "compel", "scipy")


@pytest.mark.parametrize(
    "module", ["ecurie.api.app", "ecurie.cli.app", "ecurie.bootstrap", "ecurie.supervisor"]
)
def test_importing_loads_no_torch(module: str) -> None:
    program = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_help_appears_within_half_a_second() -> None:
    def seconds() -> float:
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "ecurie", "--help"], capture_output=True, check=True)
        return time.monotonic() - began

    assert min(seconds() for _ in range(5)) < 0.5
