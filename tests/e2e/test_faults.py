"""What happens when processes are killed, stopped, or cannot write."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import DEMO_FOLDER, Server, StartServer, free_port
from tests.faults_run.processes import kill_all, send, wait_until_gone

APPLE = Path(__file__).parents[1] / "data" / "emoji" / "red-apple.png"


@pytest.fixture(scope="module")
def shared_server(module_servers: StartServer) -> Server:
    return module_servers()


@pytest.fixture
def own_server(shared_server: Server) -> Server:
    """Started again if the test before failed while it was down."""
    if shared_server.process.poll() is not None:
        shared_server.restart()
    return shared_server.wait_ready()


def test_a_worker_killed_in_a_job_is_replaced_and_the_job_runs_again(own_server: Server) -> None:
    first, second = own_server.submit(steps=60, seed=1), own_server.submit(steps=2)
    own_server.wait_for(first, "running")
    os.kill(own_server.worker_pid(), signal.SIGKILL)
    job = own_server.wait_for(first, "succeeded", "failed")
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    assert own_server.wait_for(second, "succeeded")["attempts"] == 1
    again = own_server.wait_for(own_server.submit(steps=60, seed=1), "succeeded")
    pictures = [own_server.client.get(ended["result"]["images"][0]["url"]).content for ended in (job, again)]
    assert pictures[0] == pictures[1]


def test_a_worker_killed_while_idle_is_replaced(own_server: Server) -> None:
    old = own_server.worker_pid()
    os.kill(old, signal.SIGKILL)
    own_server.wait_until(
        lambda: any(worker["pid"] != old for worker in own_server.client.get("/system").json()["workers"]),
        "with a new worker",
    )
    assert own_server.wait_for(own_server.submit(steps=1), "succeeded")


def test_after_everything_is_killed_the_queue_goes_on(own_server: Server) -> None:
    running = own_server.submit(steps=150)
    coded = base64.b64encode(APPLE.read_bytes()).decode()
    queued = [own_server.submit(steps=1, **fields) for fields in ({}, {"init_image": coded, "strength": 1})]
    own_server.wait_for(running, "running")
    kill_all(own_server)
    wait_until_gone(own_server)
    for file in own_server.data_dir.glob("ecurie.db*"):
        assert coded[:100].encode() not in file.read_bytes()
    own_server.restart()
    own_server.wait_ready()
    assert own_server.wait_for(running, "succeeded")["attempts"] == 2
    assert [own_server.wait_for(job_id, "succeeded")["attempts"] for job_id in queued] == [1, 1]


def test_the_worker_does_not_outlive_a_killed_server(own_server: Server) -> None:
    job_id = own_server.submit(steps=150, num_images=8)
    own_server.wait_for(job_id, "running")
    own_server.process.kill()
    own_server.process.wait()
    wait_until_gone(own_server)
    own_server.restart()
    own_server.wait_ready()
    own_server.client.delete(f"/jobs/{job_id}")
    assert own_server.wait_for(job_id, "cancelled")


@pytest.mark.parametrize(("number", "length"), [(signal.SIGINT, 8), (signal.SIGTERM, 1)])
def test_stopping_takes_ten_seconds_at_most_and_loses_nothing(
    own_server: Server, number: signal.Signals, length: int
) -> None:
    """A long job goes back to the queue, a short one finishes; listeners do not hold the server up, and
    clients that wait for a job are answered."""
    body = {"prompt": "x", "steps": 150 if length > 1 else 40, "num_images": length}
    waiting = subprocess.Popen(
        ["curl", "-s", "-w", "%{http_code}", f"{own_server.url}/generate?wait=60", "-d", json.dumps(body)],
        stdout=subprocess.PIPE,
        text=True,
    )
    (job,) = own_server.wait_until(
        lambda: own_server.client.get("/jobs?state=running").json()["jobs"], "running"
    )
    job_id = job["id"]
    listener = subprocess.Popen(
        ["curl", "-sN", f"{own_server.url}/jobs/{job_id}/events"], stdout=subprocess.DEVNULL
    )
    began = time.monotonic()
    own_server.process.send_signal(number)
    status = own_server.process.wait(15)
    assert time.monotonic() - began < 10
    assert status == 0
    assert "Fatal" not in own_server.log
    assert "Traceback" not in own_server.log
    wait_until_gone(own_server, seconds=1)
    listener.wait(5)
    answer, _ = waiting.communicate(timeout=5)
    assert answer.endswith("202" if length > 1 else ("200", "202")), answer
    own_server.restart()
    own_server.wait_ready()
    job = own_server.job(job_id)
    if length > 1:
        assert job["state"] in ("queued", "preparing", "running")
        assert job["attempts"] <= 1
        own_server.client.delete(f"/jobs/{job_id}")
        own_server.wait_for(job_id, "cancelled")
    else:
        assert (job["state"], job["attempts"]) == ("succeeded", 1)


@pytest.fixture(scope="module")
def strict_server(module_servers: StartServer) -> Server:
    return module_servers(ECURIE_LEASE_SECONDS="2", ECURIE_MAX_ATTEMPTS="2")


def test_a_job_whose_worker_hangs_is_taken_over(strict_server: Server) -> None:
    server = strict_server
    job_id = server.submit(steps=60)
    server.wait_for(job_id, "running")
    os.kill(server.worker_pid(), signal.SIGSTOP)
    job = server.wait_for(job_id, "succeeded", "failed")
    assert (job["state"], job["attempts"]) == ("succeeded", 2)


def test_a_job_that_kills_every_worker_fails_and_the_next_one_runs(strict_server: Server) -> None:
    """In the second image, so that the first one is there already: it must not stay."""
    server, outputs = strict_server, strict_server.data_dir / "outputs"
    before = set(outputs.iterdir())
    poison = server.submit(steps=30, num_images=16)

    def kill_the_worker() -> bool:
        job = server.job(poison)
        if job["progress"]["step"] > 30 and job["state"] == "running":
            assert set(outputs.iterdir()) > before
            send(server.worker_pid(), signal.SIGKILL)
        return bool(job["state"] == "failed")

    server.wait_until(kill_the_worker, "failed")
    job = server.job(poison)
    assert (job["error"]["code"], job["attempts"]) == ("worker-died", 2)
    assert "the worker died 2 times" in job["error"]["message"]
    server.wait_until(lambda: set(outputs.iterdir()) == before, "rid of its images")
    assert server.wait_for(server.submit(steps=1), "succeeded")


def run_cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ecurie", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_port_in_use_is_named(server: Server, tmp_path: Path) -> None:
    ended = run_cli("serve", "--demo", "--port", str(server.port), ECURIE_DATA_DIR=str(tmp_path))
    assert ended.returncode == 3
    assert ended.stderr.splitlines()[-2:] == [
        f"ecurie: port {server.port} on 127.0.0.1 is in use",
        "        stop what uses it, or choose another with --port",
    ]


def test_a_data_folder_in_use_is_named(server: Server) -> None:
    ended = run_cli("serve", "--demo", "--port", str(free_port()), ECURIE_DATA_DIR=str(server.data_dir))
    assert (ended.returncode, "data folder" in ended.stderr) == (3, True)


def test_a_public_address_without_a_key_is_refused(tmp_path: Path) -> None:
    ended = run_cli("serve", "--host", "0.0.0.0", ECURIE_DATA_DIR=str(tmp_path))
    assert (ended.returncode, "ECURIE_API_KEY" in ended.stderr) == (3, True)


def test_a_device_that_is_not_there_stops_the_server(tmp_path: Path) -> None:
    missing = "mps" if sys.platform == "linux" else "cuda"
    arguments = ("serve", "--demo", "--device", missing, "--port", str(free_port()))
    ended = run_cli(*arguments, ECURIE_DATA_DIR=str(tmp_path / "data"))
    assert ended.returncode == 3
    assert f"--device {missing}: this machine's PyTorch sees only" in ended.stderr
    assert "the worker cannot start with these settings" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = run_cli("serve", "--demo", ECURIE_DATA_DIR=str(tmp_path / "file" / "data"))
    assert (ended.returncode, "cannot be used" in ended.stderr) == (3, True)
    assert "Traceback" not in ended.stderr


def test_a_mistake_in_the_catalogue_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "ecurie.yaml").write_text(
        "defaults: {model: a}\nmodels:\n  a:\n    nmae: A\n    source: ./a\n"
    )
    ended = run_cli("serve", "--port", str(free_port()), ECURIE_DATA_DIR=str(tmp_path))
    assert ended.returncode == 3
    assert f"{tmp_path / 'ecurie.yaml'}, line 3: models.a.name: " in ended.stderr


def test_the_real_catalogue_says_how_to_get_missing_weights(
    start_server: StartServer, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    server = start_server(data_dir=data_dir, demo=False, ECURIE_DOWNLOAD="never")
    answer = server.client.post("/generate", json={"prompt": "red apple"})
    assert (answer.status_code, answer.json()["code"]) == (409, "weights-missing")
    assert answer.json()["remedy"] == "run: ecurie pull sdxl-base"
    file = data_dir / "ecurie.yaml"
    assert "sdxl-base" in file.read_text()
    file.write_text(f"defaults: {{model: mine}}\nmodels:\n  mine: {{name: Mine, source: {DEMO_FOLDER}}}\n")
    job_id = server.submit(steps=1)
    assert server.wait_for(job_id, "succeeded")["request"]["model"] == "mine"
    file.write_text("models: [")
    assert server.submit(steps=1)
    assert "line 1" in server.client.get("/system").json()["catalogue_error"]


def on_small_disks(what: str, data_dir: Path, **sizes: str) -> list[str]:
    """What `tests.e2e.full_disk` saw on real file systems of these sizes, in a mount namespace."""
    mounts = []
    for name, size in sizes.items():
        folder = data_dir if name == "data" else data_dir / name
        mounts.append(f"mkdir -p {folder} && mount -t tmpfs -o size={size} tmpfs {folder}")
    script = " && ".join([*mounts, f"exec {sys.executable} -m tests.e2e.full_disk {what} {data_dir}"])
    shown = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return shown.stdout.split()


def test_a_full_disk_fails_the_job_leaves_no_half_file_and_is_survived(tmp_path: Path) -> None:
    seen = on_small_disks("outputs", tmp_path / "data", outputs="64k")
    assert seen == ["storage-full", "no-file", "succeeded"]


def test_a_full_disk_of_the_job_table_refuses_jobs_and_loses_none(tmp_path: Path) -> None:
    refused, status, running, *others = on_small_disks("table", tmp_path / "data", data="2m", outputs="10m")
    assert (refused, status, running) == ("storage-full", "200", "succeeded-1")
    assert set(others) == {"succeeded"}


def test_weights_cut_short_are_refused_before_a_job_is_made(
    start_server: StartServer, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(DEMO_FOLDER, folder)
    catalog = tmp_path / "ecurie.yaml"
    catalog.write_text(f"defaults: {{model: mine}}\nmodels:\n  mine: {{name: Mine, source: {folder}}}\n")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    ended = run_cli("generate", "x", "--catalog", str(catalog), ECURIE_DATA_DIR=str(tmp_path / "data"))
    assert (ended.returncode, "100 bytes too short" in ended.stderr) == (2, True)
