"""The command line, run as a person runs it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ecurie", *arguments],
        env={**os.environ, "ECURIE_DATA_DIR": str(cwd / "data"), "COLUMNS": "200", **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_generate_writes_the_file_and_shows_progress(tmp_path: Path) -> None:
    command = "--demo --seed 7 --steps 30 --guidance-scale 5 --size 64x64 --output apple.png".split()
    ended = run("generate", "red apple", *command, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "apple.png  (seed 7, 64x64)\n"
    assert "30/30" in ended.stderr
    with Image.open(tmp_path / "apple.png") as picture:
        assert picture.text["parameters"].startswith("red apple\n")  # type: ignore[attr-defined]
    again = run("generate", "red apple", *command[:-1], "again.png", cwd=tmp_path)
    assert again.returncode == 0
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in ("apple.png", "again.png")]
    assert digests[0] == digests[1]


def test_generate_prints_the_whole_result_as_json(tmp_path: Path) -> None:
    ended = run(
        "generate",
        "cat",
        "--model",
        str(DEMO_FOLDER),
        "--steps",
        "2",
        "--num-images",
        "2",
        "--json",
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert shown["request"]["negative_prompt"] == ""
    assert shown["setup"]["device"] in ("cpu", "cuda", "mps")
    assert [Path(image["path"]).name for image in shown["images"]] == sorted(
        (file.name for file in tmp_path.glob("*.png")), key=[i["path"] for i in shown["images"]].index
    )


def test_generate_applies_adapters_given_as_files(tmp_path: Path) -> None:
    files.save(tmp_path / "style.safetensors", files.kohya_tensors(files.attention_places()))
    options = ["--demo", "--seed", "7", "--steps", "2", "--json"]
    ended = run("generate", "cat", *options, "--lora", "./style.safetensors:0.6", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (report,) = json.loads(ended.stdout)["report"]["adapters"]
    assert (report["name"], report["unet"]) == ("style", 0.6)


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (["x", "--demo", "--model", "nope"], 2, "there is no model 'nope', nor a folder of that name"),
        (["x", "--demo", "--size", "big"], 2, "--size 'big' should look like 1024x1024"),
        (["x", "--demo", "--size", "60x64"], 2, "width: "),
        (["", "--demo"], 2, "prompt: is empty"),
        (["x", "--demo", "--steps", "0"], 2, "steps: "),
        (["x", "--demo", "--scheduler", "eular"], 2, "unknown scheduler 'eular'"),
        (["x", "--demo", "--lora", "nope:0.8"], 2, "there is no adapter 'nope'"),
        (["x", "--demo", "--lora", "style-anime:much"], 2, "NAME:0.8"),
        (["x", "--demo", "--output", "x.jpg"], 2, "only .png"),
        (["x", "--device", "tpu"], 3, "--device"),
        (["x"], 2, "run: ecurie pull sdxl-base"),
    ],
)
def test_a_mistake_is_one_clear_message(tmp_path: Path, arguments: list[str], code: int, shown: str) -> None:
    ended = run("generate", *arguments, cwd=tmp_path)
    assert ended.returncode == code
    assert shown in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.glob("*.png"))


def test_models_and_schedulers_are_listed(tmp_path: Path) -> None:
    shown = run("models", "--demo", cwd=tmp_path)
    assert shown.returncode == 0
    assert "sdxl-base" in shown.stdout
    assert "ready" in shown.stdout
    real = json.loads(run("models", "--json", cwd=tmp_path).stdout)
    assert {row["id"]: row["status"] for row in real}["sdxl-base"].endswith("run: ecurie pull sdxl-base")
    assert "dpmpp-2m-karras" in run("models", "--schedulers", cwd=tmp_path).stdout


def test_doctor_tells_versions_device_folders_and_what_is_missing(tmp_path: Path) -> None:
    shown = run("doctor", "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    assert report["folders"]["data"] == str(tmp_path / "data")
    assert "float32" in report["devices"]["used"] or "float16" in report["devices"]["used"]
    assert "ecurie pull sdxl-base" in report["models"]["sdxl-base"]
    assert report["versions"]["diffusers"]
    table = run("doctor", "--demo", cwd=tmp_path, ECURIE_API_KEY="hush")
    assert "the bundled demo catalogue" in table.stdout
    assert "hush" not in table.stdout


def test_version_and_unknown_verbs(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == "ecurie 0.1.0\n"
    unknown = run("paint", cwd=tmp_path)
    assert (unknown.returncode, "No such command 'paint'" in unknown.stderr) == (2, True)
