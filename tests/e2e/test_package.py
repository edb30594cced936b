"""What is published: an sdist without training data, and a wheel that is whole, with the version of Git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Built:
    sources: Path
    wheel: Path
    sdist: Path


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["ECURIE_DATA_DIR"] = str(cwd / "data")
    return subprocess.run(
        command, cwd=cwd, env=environment, check=True, capture_output=True, text=True, timeout=170
    ).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Of a repository of its own with what Git keeps here: a build leaves files beside the sources."""
    copy = tmp_path_factory.mktemp("package") / "copy"
    for name in run("git", "ls-files", "-z", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    run("git", "init", "--quiet", cwd=copy)
    run("git", "add", "--all", cwd=copy)
    run("git", *author, "commit", "--quiet", "--message", "all", cwd=copy)
    run("git", *author, "tag", "v7.8.9", cwd=copy)
    run(sys.executable, "-m", "build", "--no-isolation", cwd=copy)
    (wheel,), (sdist,) = (copy / "dist").glob("*.whl"), (copy / "dist").glob("*.tar.gz")
    return Built(copy / "src", wheel, sdist)


def test_the_version_is_that_of_the_tag(built: Built) -> None:
    assert built.wheel.name == "ecurie-7.8.9-py3-none-any.whl"
    assert built.sdist.name == "ecurie-7.8.9.tar.gz"


def test_the_wheel_holds_every_file_of_the_package(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as content:
        held = set(content.namelist())
        (entry_points,) = (name for name in held if name.endswith("entry_points.txt"))
        assert "ecurie = ecurie.cli.app:main" in content.read(entry_points).decode()
    files = run("git", "ls-files", "src/ecurie", cwd=ROOT).splitlines()
    assert {name.removeprefix("src/") for name in files if (ROOT / name).is_file()} <= held
    assert {name.split("/")[0] for name in held} == {"ecurie", "ecurie-7.8.9.dist-info"}


def test_the_sdist_holds_no_training_data(built: Built) -> None:
    with tarfile.open(built.sdist) as content:
        folders = {name.split("/")[1] for name in content.getnames() if name.count("/") > 1}
    assert folders == {"src"}
    assert built.sdist.stat().st_size < 60 * MEGABYTE


def test_the_installed_wheel_draws_with_the_demo(built: Built, tmp_path: Path) -> None:
    """In an environment that borrows the packages of this one, but not its Écurie."""
    run(sys.executable, "-m", "venv", "--without-pip", "clean", cwd=tmp_path)
    python = tmp_path / "clean" / "bin" / "python"
    site = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    )
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        built.wheel,
        cwd=tmp_path,
    )
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    command = python.with_name("ecurie")
    assert run(command, "--version", cwd=tmp_path) == "ecurie 7.8.9\n"
    place = run(python, "-c", "import ecurie; print(ecurie.__file__)", cwd=tmp_path)
    assert Path(place.strip()).is_relative_to(site)
    run(command, "generate", "red apple", "--demo", "--steps", "2", "--output", "apple.png", cwd=tmp_path)
    assert (tmp_path / "apple.png").is_file()
