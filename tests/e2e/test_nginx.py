"""Behind nginx, as `deploy/nginx/ecurie.conf` sets it up."""

from __future__ import annotations

import getpass
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.conftest import Server, StartServer, free_port
from tests.services import missing

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx" / "ecurie.conf"
NAME = "images.example.org"


@pytest.fixture(scope="module")
def behind(module_servers: StartServer) -> Server:
    return module_servers(ECURIE_ALLOWED_HOSTS=NAME)


def configuration(folder: Path, behind: Server, plain: int, secure: int) -> str:
    """The example's with ports, paths and certificate of this test; all else stays."""
    text = CONFIGURATION.read_text()
    text = re.sub(r"listen \[::\]:\d+( ssl)?;\n", "", text)
    text = text.replace("listen 80;", f"listen 127.0.0.1:{plain};")
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;")
    text = text.replace(f"/etc/letsencrypt/live/{NAME}", str(folder))
    text = text.replace("127.0.0.1:8009", f"127.0.0.1:{behind.port}")
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"user {getpass.getuser()}; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; "
        f"events {{}} http {{ access_log off; {places}\n{text}\n}}"
    )


@pytest.fixture(scope="module")
def proxied(behind: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        missing("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "privkey.pem",
            "-subj",
            f"/CN={NAME}",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-out",
            "fullchain.pem",
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    plain, secure = free_port(), free_port()
    (folder / "nginx.conf").write_text(configuration(folder, behind, plain, secure))
    process = subprocess.Popen([nginx, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    trusted = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
    client = httpx2.Client(
        base_url=f"https://127.0.0.1:{secure}",
        headers={"host": NAME},
        verify=trusted,
        timeout=60,
        trust_env=False,
    )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert process.poll() is None, (folder / "error.log").read_text()
            try:
                client.get("/healthz")
                break
            except httpx2.TransportError:
                time.sleep(0.05)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(10)


def test_a_picture_is_drawn_through_it(proxied: httpx2.Client) -> None:
    job = proxied.post("/generate?wait=60", json={"prompt": "red apple", "steps": 2}).json()
    assert job["state"] == "succeeded"
    picture = proxied.get(job["result"]["images"][0]["url"])
    assert picture.content.startswith(b"\x89PNG")
    assert picture.headers["strict-transport-security"].startswith("max-age=")


def test_events_come_while_the_job_runs(proxied: httpx2.Client) -> None:
    job = proxied.post("/generate", json={"prompt": "red apple", "steps": 150, "num_images": 16}).json()
    with proxied.stream("GET", f"/jobs/{job['id']}/events") as events:
        for line in events.iter_lines():
            if line.startswith("event: step"):
                break
        assert proxied.delete(f"/jobs/{job['id']}").json()["state"] in ("preparing", "running")


def test_pictures_in_a_body_pass(proxied: httpx2.Client) -> None:
    answer = proxied.post("/images", content=bytes(5_000_000))
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
