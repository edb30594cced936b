"""The files in `examples` do what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Server
from tests.services import missing

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PICTURES = ROOT / "docs" / "pictures"


def run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    name = arguments[0]
    ended = subprocess.run(
        [program, str(EXAMPLES / name), *arguments[1:]],
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def made(ended: subprocess.CompletedProcess[str], folder: Path) -> list[Path]:
    """The pictures whose names it printed; they are as they should be."""
    files = [folder / line for line in ended.stdout.splitlines() if line.endswith(".png")]
    for file in files:
        with Image.open(file) as picture:
            assert picture.size == (64, 64)
            assert len(set(picture.convert("RGB").getdata())) > 50
            assert "parameters" in picture.info
    return files


@pytest.fixture(scope="module")
def apple(server: Server) -> bytes:
    """What `generate.*` draw, made by hand."""
    body = {"prompt": "red apple", "seed": 7, "steps": 20}
    result = server.client.post("/generate?wait=100", json=body).json()["result"]
    return server.client.get(result["images"][0]["url"]).content


def test_generate_in_python(server: Server, apple: bytes, tmp_path: Path) -> None:
    ended = run(tmp_path, sys.executable, "generate.py", server.url)
    assert [file.read_bytes() for file in made(ended, tmp_path)] == [apple]
    assert "denoising: " in ended.stderr


def test_generate_in_javascript(server: Server, apple: bytes, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        missing("Node")
    ended = run(tmp_path, node, "generate.mjs", server.url)
    assert [file.read_bytes() for file in made(ended, tmp_path)] == [apple]
    assert "denoising: " in ended.stderr


def test_generate_with_curl(server: Server, apple: bytes, tmp_path: Path) -> None:
    ended = run(tmp_path, "sh", "generate.sh", server.url)
    assert [file.read_bytes() for file in made(ended, tmp_path)] == [apple]


@pytest.mark.parametrize(("program", "name"), [(sys.executable, "generate.py"), ("sh", "generate.sh")])
def test_an_example_says_what_is_wrong(program: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="localhost"):
        run(tmp_path, program, name, "http://localhost:1")


def test_many_at_once(server: Server, tmp_path: Path) -> None:
    files = made(run(tmp_path, sys.executable, "many_at_once.py", server.url), tmp_path)
    assert sorted(file.name for file in files) == ["cat-face.png", "pizza.png", "red-apple.png", "rocket.png"]


def test_a_stack_of_adapters(server: Server, tmp_path: Path) -> None:
    ended = run(tmp_path, sys.executable, "stack.py", server.url)
    assert [file.name for file in made(ended, tmp_path)] == ["stack.png"]
    assert "cyberpunk-style adds cyberpunk, neon" in ended.stdout
    assert "  unet 0.9, text encoder 0.3" in ended.stdout


def test_a_picture_is_edited(server: Server, tmp_path: Path) -> None:
    pictures = (str(PICTURES / "start.png"), str(PICTURES / "mask.png"))
    files = made(run(tmp_path, sys.executable, "edit.py", *pictures, server.url), tmp_path)
    assert [file.name for file in files] == ["whole.png", "part.png", "again.png"]
    assert len({file.read_bytes() for file in files}) == 3


def test_every_example_is_run_here() -> None:
    tests = Path(__file__).read_text()
    assert all(f'"{file.name}"' in tests for file in EXAMPLES.iterdir() if file.suffix not in ("", ".md"))
