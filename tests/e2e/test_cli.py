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

import ecurie
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files

ROOT = Path(__file__).parents[2]


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
    command = "--demo --seed 7 --steps 6 --guidance-scale 5 --size 64x64 --output apple.png".split()
    ended = run("generate", "red apple", *command, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "apple.png  (seed 7, 64x64)\n"
    assert "6/6" in ended.stderr
    with Image.open(tmp_path / "apple.png") as picture:
        assert picture.text["parameters"].startswith("red apple\n")  # type: ignore[attr-defined]
    again = run("generate", "red apple", *command[:-1], "again.png", cwd=tmp_path)
    assert again.returncode == 0
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in ("apple.png", "again.png")]
    assert digests[0] == digests[1]


def test_generate_draws_with_references(tmp_path: Path) -> None:
    pictures = [ROOT / "tests" / "data" / "emoji" / f"{name}.png" for name in ("octopus", "pizza")]
    options = ["--demo", "--seed", "7", "--steps", "2", "--json", "--ip-strength", "0.5"]
    references = [part for picture in pictures for part in ("--reference", str(picture))]
    ended = run("generate", "cat", *options, *references, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert (shown["ip_adapter"]["name"], shown["ip_adapter"]["references"]) == ("ip-adapter", 2)
    digests = [hashlib.sha256(picture.read_bytes()).hexdigest()[:32] for picture in pictures]
    assert shown["request"]["reference_images"] == digests
    refused = run("generate", "cat", *options, "--reference", "nowhere.png", cwd=tmp_path)
    assert (refused.returncode, "nowhere.png cannot be read" in refused.stderr) == (2, True)


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
    tensors = files.kohya_tensors(files.attention_places())
    tensors["lora_unet_nothing.lora_up.weight"] = tensors[next(iter(tensors))]
    files.save(tmp_path / "style.safetensors", tensors, {"modelspec.trigger_phrase": "ink"})
    options = ["--demo", "--seed", "7", "--steps", "2", "--json"]
    refused = run("generate", "cat", *options, "--lora", "style.safetensors", cwd=tmp_path)
    assert (refused.returncode, "lora_unet_nothing" in refused.stderr) == (2, True)
    blocks = "lbw=" + ",".join(["1"] * 11 + ["0"])
    loras = [
        "--no-strict",
        "--lora",
        f"./style.safetensors:te=0.6:unet=0.5:{blocks}",
        "--lora",
        "style-anime",
    ]
    ended = run("generate", "cat <lora:style-anime:0.3>", *options, *loras, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    reports = shown["report"]["adapters"]
    assert [(report["name"], report["unet"], report["text_encoder"]) for report in reports] == [
        ("style", 0.5, 0.6),
        ("style-anime", 0.75, 0.75),
        ("style-anime", 0.3, 0.3),
    ]
    assert reports[0]["blocks"]["OUT05"] == 0
    assert reports[0]["unmatched"]["first_keys"] == ["lora_unet_nothing.lora_up.weight"]
    assert (reports[0]["triggers"], reports[0]["triggers_from"]) == (["ink"], "modelspec.trigger_phrase")
    assert reports[1]["unmatched"]["keys"] == 0
    assert reports[2]["unmatched"] is None
    assert shown["prompt"] == "cat, ink, anime style, detailed"
    assert shown["request"]["prompt"] == "cat <lora:style-anime:0.3>"


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (
            ["x", "--demo", "--model", "nope"],
            2,
            "no model 'nope', nor a folder or file of that name",
        ),
        (["x", "--demo", "--size", "big"], 2, "--size 'big' should look like 1024x1024"),
        (["x", "--demo", "--size", "60x64"], 2, "width: "),
        (["", "--demo"], 2, "prompt: is empty"),
        (["x", "--demo", "--steps", "0"], 2, "steps: "),
        (["x", "--demo", "--scheduler", "eular"], 2, "unknown scheduler 'eular'"),
        (["x", "--demo", "--lora", "nope:0.8"], 2, "there is no adapter 'nope'"),
        (["x", "--demo", "--lora", "style-anime:much"], 2, "NAME:0.8"),
        (["x", "--demo", "--lora", "style-anime:1:lbw=1,2"], 2, "2 numbers: a list of blocks has 12, 17"),
        (["x <lora:style-anime:much>", "--demo"], 2, "<lora:style-anime:much>: 'much' is no number"),
        (["x <lora:nope:1>", "--demo"], 2, "there is no adapter 'nope'"),
        (["x", "--demo", "--output", "x.gif"], 2, "ends with one of .png, .webp"),
        (["x", "--device", "tpu"], 3, "--device"),
        (["x"], 2, "run: ecurie pull sdxl-base"),
    ],
)
def test_a_mistake_is_one_clear_message(tmp_path: Path, arguments: list[str], code: int, shown: str) -> None:
    ended = run("generate", *arguments, cwd=tmp_path, ECURIE_DOWNLOAD="never")
    assert ended.returncode == code
    assert shown in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.glob("*.png"))


def test_inspect_tells_what_a_file_is(tmp_path: Path) -> None:
    written = {"ss_tag_frequency": '{"set": {"[red]mira[/red]": 3}}', "long": "x" * 5000, "bell": "\x1b[31m"}
    tensors = files.kohya_tensors(files.attention_places(), sgm=True)
    files.save(tmp_path / "a.safetensors", tensors, written)
    shown = run("inspect", "--demo", "a.safetensors", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for text in (
        "LoRA (",
        "kohya (SGM blocks)",
        "IN04",
        "M00",
        "text_encoder_2",
        "[red]mira[/red] 1.00",
        "AutoV3",
    ):
        assert text in shown.stdout
    assert "(5,000 characters)" in shown.stdout
    assert "\x1b" not in shown.stdout
    told = json.loads(run("inspect", "--demo", "./a.safetensors", "--json", cwd=tmp_path).stdout)
    assert told["content"]["metadata"] == written
    assert told["check"] == {"model": "sdxl-base", "fits": True, "reason": None, "remedy": None}


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (["style-anime", "--demo"], 0, "anime style, detailed (catalogue)"),
        (["style-anime", "--demo", "--model", "pony-xl-v6"], 0, "fits pony-xl-v6"),
        (["pony-xl-v6", "--demo"], 0, "lacks"),
        (["sdxl-base", "--demo"], 0, "text_encoder_2: "),
        ([str(DEMO_FOLDER)], 0, "a diffusers folder"),
        ([str(DEMO_FOLDER.parent / "adapters" / "style-anime.safetensors")], 0, "run: ecurie pull sdxl-base"),
        ([str(DEMO_FOLDER / "vae" / "diffusion_pytorch_model.safetensors")], 0, "a VAE"),
        ([str(DEMO_FOLDER / "model_index.json")], 2, "it is JSON text"),
        (["nope", "--demo"], 2, "no file, folder, adapter or model 'nope'"),
        (["style-anime", "--demo", "--model", "nope"], 2, "there is no model 'nope'"),
    ],
)
def test_inspect_takes_files_folders_and_ids(
    tmp_path: Path, arguments: list[str], code: int, shown: str
) -> None:
    ended = run("inspect", *arguments, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert shown in (ended.stderr if code else ended.stdout)
    assert "Traceback" not in ended.stderr


def test_models_and_schedulers_are_listed(tmp_path: Path) -> None:
    shown = run("models", "--demo", cwd=tmp_path)
    assert shown.returncode == 0
    assert "sdxl-base" in shown.stdout
    assert "ready" in shown.stdout
    real = json.loads(run("models", "--json", cwd=tmp_path).stdout)
    status = {row["id"]: row["status"] for row in real}["sdxl-base"]
    assert status == "not here: downloaded on first use, or now by: ecurie pull sdxl-base"
    offline = json.loads(run("models", "--json", cwd=tmp_path, ECURIE_DOWNLOAD="never").stdout)
    assert {row["id"]: row["status"] for row in offline}["sdxl-base"].endswith("run: ecurie pull sdxl-base")
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
    assert run("--version", cwd=tmp_path).stdout == f"ecurie {ecurie.__version__}\n"
    unknown = run("paint", cwd=tmp_path)
    assert (unknown.returncode, "No such command 'paint'" in unknown.stderr) == (2, True)
