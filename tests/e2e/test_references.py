"""Reference pictures over HTTP, by the server's default one."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ecurie.bootstrap import make_service
from ecurie.errors import SettingsError
from ecurie.jobs.doorbell import NoBell
from ecurie.jobs.store import JobStore
from ecurie.settings import load_settings
from tests.conftest import Server, StartServer

PICTURE = Path(__file__).parents[1] / "data" / "emoji" / "octopus.png"


def test_the_default_reference_is_looked_at_when_a_strength_asks_for_it(start_server: StartServer) -> None:
    server = start_server(ECURIE_REFERENCE_IMAGE=str(PICTURE))
    (listed,) = server.client.get("/ip-adapters").json()["ip_adapters"]
    assert (listed["id"], listed["downloaded"], listed["unavailable"]) == ("ip-adapter", True, None)
    ask = _asker(server)
    plain, zero, strong = ask(), ask(ip_strength=0), ask(ip_strength=0.7)
    report = strong["result"]["report"]["ip_adapter"]
    assert (report["name"], report["strength"], report["references"]) == ("ip-adapter", 0.7, 1)
    digest = hashlib.sha256(PICTURE.read_bytes()).hexdigest()
    assert strong["request"]["reference_images"] == [digest[:32]]
    again = ask(**{name: value for name, value in strong["request"].items() if value is not None})
    files = [
        server.data_dir / "outputs" / job["result"]["images"][0]["filename"]
        for job in (plain, zero, strong, again)
    ]
    pixels = []
    for file in files:
        with Image.open(file) as picture:
            pixels.append(picture.convert("RGB").tobytes())
            content = json.loads(str(picture.info["ecurie"]))["request"]
    assert pixels[0] == pixels[1] != pixels[2] == pixels[3]
    assert plain["result"]["report"]["ip_adapter"] is None
    assert content["references"] == [{"sha256": digest}]
    assert content["ip_adapter"]["sha256"] == report["sha256"]


def _asker(server: Server) -> Callable[..., dict[str, Any]]:
    def ask(**fields: object) -> dict[str, Any]:
        body = {"prompt": "cat face", "seed": 7, "steps": 2, **fields}
        job: dict[str, Any] = server.client.post("/generate?wait=60", json=body).json()
        assert job["state"] == "succeeded", job
        return job

    return ask


def test_a_default_reference_that_is_no_picture_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no picture")
    store = JobStore("sqlite://")
    for name in ("x.png", "nowhere.png"):
        settings = load_settings(data_dir=tmp_path, reference_image=tmp_path / name)
        with pytest.raises(SettingsError, match="reference-image"):
            make_service(settings, store, NoBell())
    store.close()


def test_references_guide_every_pass_and_come_as_uploads_or_base64(server: Server) -> None:
    uploaded = server.client.post("/images", content=PICTURE.read_bytes()).json()["id"]
    coded = base64.b64encode(PICTURE.with_name("red-apple.png").read_bytes()).decode()
    ask = _asker(server)
    for fields in ({"hires": {"scale": 1.5}}, {"init_image": uploaded, "strength": 0.9}):
        plain, looked = ask(**fields), ask(**fields, reference_images=[uploaded, coded])
        assert looked["result"]["report"]["ip_adapter"]["references"] == 2
        images = [
            (server.data_dir / "outputs" / job["result"]["images"][0]["filename"]).read_bytes()
            for job in (plain, looked)
        ]
        assert images[0] != images[1]
