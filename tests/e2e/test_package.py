"""`pip install .` gives the command with everything that it needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    """Built from a copy: a build leaves files beside the sources."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE.md"):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(copy)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("ecurie-*.whl")
    with zipfile.ZipFile(wheel) as content:
        held = set(content.namelist())
        (entry_points,) = (name for name in held if name.endswith("entry_points.txt"))
        assert "ecurie = ecurie.cli.app:main" in content.read(entry_points).decode()
    sources = copy / "src"
    wanted = {
        str(file.relative_to(sources))
        for file in (sources / "ecurie").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert wanted <= held
