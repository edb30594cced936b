"""Pictures as a client sends and uses them, on a real server and by the command line."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tests.conftest import Server
from tests.e2e.test_cli import run
from tests.unit.images.pictures import saved

APPLE = Path(__file__).parents[1] / "data" / "emoji" / "red-apple.png"
BODY: dict[str, Any] = {"prompt": "pizza", "steps": 6, "seed": 7, "guidance_scale": 5.0}


def drawn(server: Server, **fields: Any) -> Image.Image:
    answer = server.client.post("/generate?wait=60", json=BODY | fields)
    assert answer.status_code == 200, answer.text
    job = answer.json()
    assert job["state"] == "succeeded", job["error"]
    (image,) = job["result"]["images"]
    picture = Image.open(io.BytesIO(server.client.get(image["url"]).content))
    assert picture.size == (image["width"], image["height"])
    return picture


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).mean())


def test_a_picture_is_drawn_from_however_it_is_sent(server: Server) -> None:
    content = APPLE.read_bytes()
    coded = base64.b64encode(content).decode()
    uploaded = server.client.post("/images", files={"file": ("apple.png", content)}).json()["id"]
    by_id, by_base64, by_uri = (
        drawn(server, init_image=init, strength=0.6)
        for init in (uploaded, coded, f"data:image/png;base64,{coded}")
    )
    assert by_id.tobytes() == by_base64.tobytes() == by_uri.tobytes()
    before, alone = Image.open(io.BytesIO(content)), drawn(server)
    assert 3 < distance(by_id, before) < distance(alone, before)
    assert distance(by_id, alone) > 3


def test_a_masked_picture_changes_where_the_mask_is_white(server: Server) -> None:
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).rectangle((0, 0, 31, 63), fill="white")
    sent = {
        name: base64.b64encode(content).decode()
        for name, content in (("init_image", APPLE.read_bytes()), ("mask", saved(mask)))
    }
    picture = np.asarray(drawn(server, **sent, strength=1.0, mask_blur=0))
    before = np.asarray(Image.open(APPLE))
    assert (picture[:, 32:] == before[:, 32:]).all()
    assert (picture[:, :32] != before[:, :32]).any()


def test_an_image_just_made_is_drawn_on_and_enlarged(server: Server) -> None:
    job = server.client.post("/generate?wait=60", json=BODY).json()
    name = job["result"]["images"][0]["filename"]
    larger = drawn(server, init_image=name, width=96, height=96, strength=0.5)
    assert larger.size == (96, 96)
    assert drawn(server, hires={"scale": 1.5, "steps": 4}).size == (96, 96)


def test_progress_counts_the_steps_of_both_passes(server: Server) -> None:
    job_id = server.submit(steps=5, hires={"scale": 1, "steps": 8, "strength": 0.5}, num_images=2)
    progress = server.wait_for(job_id, "succeeded")["progress"]
    assert (progress["step"], progress["total"]) == (18, 18)


def test_a_job_whose_picture_was_removed_fails_and_says_so(server: Server) -> None:
    blocking = server.submit(steps=150, num_images=2)
    server.wait_for(blocking, "running")
    content = saved(Image.new("RGB", (64, 64), (1, 2, 3)))
    picture = server.client.post("/images", content=content).json()["id"]
    job_id = server.submit(init_image=picture, steps=2)
    assert server.client.delete(f"/images/{picture}").status_code == 204
    server.client.delete(f"/jobs/{blocking}")
    error = server.wait_for(job_id, "failed")["error"]
    assert error["code"] == "invalid-request"
    assert "init_image" in error["message"]
    assert error["remedy"] == "send the picture again"


def test_the_command_line_takes_files(tmp_path: Path) -> None:
    Image.new("L", (64, 64), "white").save(tmp_path / "mask.png")
    command = f"--demo --steps 4 --init-image {APPLE} --strength 0.5 --mask mask.png --output new.png"
    ended = run("generate", "pizza", *command.split(), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "2/2" in ended.stderr
    made = (tmp_path / "new.png").read_bytes()
    assert hashlib.sha256(made).digest() != hashlib.sha256(APPLE.read_bytes()).digest()
    assert not (tmp_path / "data" / "uploads").exists()
    refused = run("generate", "pizza", "--demo", "--init-image", "nowhere.png", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "nowhere.png cannot be read" in refused.stderr
