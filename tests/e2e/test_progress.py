"""How far a job is: previews, estimates, and the verbs that show them in a terminal."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Server, StartServer
from tests.e2e.test_generate import events_of

PREFIX = "data:image/webp;base64,"


def picture(uri: str) -> Image.Image:
    assert uri.startswith(PREFIX)
    image = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(PREFIX))))
    image.load()
    return image


def kept_previews(server: Server) -> int:
    connection = sqlite3.connect(server.data_dir / "ecurie.db")
    (count,) = connection.execute("SELECT count(*) FROM previews").fetchone()
    connection.close()
    return int(count)


def test_a_running_job_shows_what_it_draws_at_most_four_times_a_second(server: Server) -> None:
    """In its events and when it is asked for; not in lists, and not once it has ended."""
    job_id = server.submit(steps=60)
    running = server.wait_until(lambda: _with_preview(server, job_id), "with a preview")
    (listed,) = server.client.get("/jobs?limit=1").json()["jobs"]
    shown = [data for name, data in events_of(server, job_id) if name == "preview"]
    assert (running["state"], picture(running["preview"]).size) == ("running", (64, 64))
    assert (listed["id"], listed["preview"]) == (job_id, None)
    assert {picture(data["image"]).size for data in shown} == {(64, 64)}
    assert [data["step"] for data in shown] == sorted({data["step"] for data in shown})
    job = server.job(job_id)
    assert (job["state"], job["preview"]) == ("succeeded", None)
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    assert 2 <= len(shown) <= 4 * (ended - began).total_seconds() + 1
    server.wait_until(lambda: kept_previews(server) == 0, "without previews", 5)


def _with_preview(server: Server, job_id: str) -> dict[str, Any] | None:
    job = server.job(job_id)
    return job if job["preview"] else None


def test_a_cancelled_job_leaves_no_preview(server: Server) -> None:
    job_id = server.submit(steps=150, num_images=4)
    server.wait_until(lambda: _with_preview(server, job_id), "with a preview")
    server.client.delete(f"/jobs/{job_id}")
    assert server.wait_for(job_id, "cancelled")["preview"] is None
    server.wait_until(lambda: kept_previews(server) == 0, "without previews", 5)


def test_the_start_is_foretold(server: Server) -> None:
    """Of the last of ten jobs: what is left to wait shrinks, and is right within a factor of three."""
    server.wait_for(server.submit(steps=10), "succeeded")
    ids = [server.submit(steps=10) for _ in range(10)]
    first = server.wait_until(lambda: _with_estimate(server, ids[-1]), "with an estimate")
    asked = time.time()
    foretold = datetime.fromisoformat(first["estimated_start"]).timestamp() - asked
    assert first["estimated_end"] > first["estimated_start"]
    server.wait_for(ids[4], "succeeded")
    later = server.job(ids[-1])
    assert later["queue_position"] < first["queue_position"]
    assert datetime.fromisoformat(later["estimated_start"]).timestamp() - time.time() < foretold
    ended = server.wait_for(ids[-1], "succeeded")
    waited = datetime.fromisoformat(ended["started_at"]).timestamp() - asked
    assert waited / 3 < foretold < waited * 3
    assert (ended["estimated_start"], ended["estimated_end"]) == (None, None)


def _with_estimate(server: Server, job_id: str) -> dict[str, Any] | None:
    job = server.job(job_id)
    assert job["state"] == "queued"
    return job if job["estimated_start"] else None


def test_events_tell_the_place_in_the_queue(server: Server) -> None:
    first, second = server.submit(steps=15), server.submit(steps=1)
    places = [data["position"] for name, data in events_of(server, second) if name == "queue"]
    assert places == sorted(places, reverse=True)
    assert places[-1] == 1
    assert server.job(first)["state"] == "succeeded"


def command(server: Server, *arguments: str, **environment: str) -> list[Any]:
    """Arguments for `subprocess`: the verb finds the server by the port of its settings."""
    variables = {"ECURIE_PORT": str(server.port), "ECURIE_DATA_DIR": str(server.data_dir / "client")}
    return [[sys.executable, "-m", "ecurie", *arguments], {**os.environ, **variables, **environment}]


def run(server: Server, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line, variables = command(server, *arguments, **environment)
    return subprocess.run(line, env=variables, capture_output=True, text=True, timeout=100, check=False)


def test_jobs_are_listed_in_a_terminal(server: Server) -> None:
    first, second = server.submit(steps=150, num_images=4), server.submit()
    server.wait_for(first, "running")
    table = run(server, "jobs", "--limit", "2", COLUMNS="160")
    assert table.returncode == 0, table.stderr
    rows = {line.split()[0]: line for line in table.stdout.splitlines()[1:]}
    assert list(rows) == [second, first]
    assert "queued, number 1" in rows[second]
    assert "/600" in rows[first]
    listed = json.loads(run(server, "jobs", "--state", "queued", "--json").stdout)
    assert [job["id"] for job in listed] == [second]
    for job_id in (second, first):
        assert run(server, "cancel", job_id).stdout.startswith(f"job {job_id} is ")
    server.wait_for(first, "cancelled")
    assert "cancelled" in run(server, "jobs", "--limit", "1").stdout


def test_a_job_is_watched_to_its_end(server: Server) -> None:
    first, second = server.submit(steps=30), server.submit(steps=5, num_images=2, seed=3)
    ended = run(server, "watch", second)
    assert ended.returncode == 0, ended.stderr
    urls = [line.split()[0] for line in ended.stdout.splitlines()]
    assert [server.client.get(url).headers["content-type"] for url in urls] == ["image/png"] * 2
    said = ended.stderr.splitlines()
    assert said[0].startswith("queued, number ")
    assert said[-1] == "done"
    assert server.job(first)["state"] == "succeeded"
    assert run(server, "watch").stdout == ended.stdout


def test_a_job_that_does_not_succeed_is_told_by_the_exit_code(server: Server) -> None:
    running, queued = server.submit(steps=150), server.submit()
    server.client.delete(f"/jobs/{queued}")
    ended = run(server, "watch", queued)
    assert (ended.returncode, f"job {queued} was cancelled" in ended.stderr) == (1, True)
    server.client.delete(f"/jobs/{running}")
    unknown = run(server, "watch", "nope")
    assert (unknown.returncode, unknown.stderr) == (2, "ecurie: there is no job 'nope'\n")
    nobody = run(server, "jobs", "--url", "http://localhost:1")
    assert (nobody.returncode, "no Écurie answers at http://localhost:1" in nobody.stderr) == (4, True)


def test_ctrl_c_leaves_the_job_alone(server: Server) -> None:
    job_id = server.submit(steps=30)
    line, variables = command(server, "watch", job_id)
    watcher = subprocess.Popen(line, env=variables, stderr=subprocess.PIPE, text=True)
    assert watcher.stderr is not None
    assert watcher.stderr.readline()
    watcher.send_signal(signal.SIGINT)
    _, said = watcher.communicate(timeout=30)
    assert (watcher.returncode, "goes on" in said) == (130, True)
    assert server.wait_for(job_id, "succeeded")["attempts"] == 1


def test_watching_goes_on_when_the_server_is_started_again(start_server: StartServer) -> None:
    """With an API key, which the watcher takes from its own settings."""
    server = start_server(ECURIE_API_KEY="hush", ready=False)
    server.client.headers["Authorization"] = "Bearer hush"
    server.wait_ready()
    refused = run(server, "jobs")
    assert (refused.returncode, "API key" in refused.stderr) == (2, True)
    job_id = server.submit(steps=150)
    line, variables = command(server, "watch", job_id, ECURIE_API_KEY="hush")
    watcher = subprocess.Popen(line, env=variables, stdout=-1, stderr=-1, text=True)
    assert watcher.stderr is not None
    watcher.stderr.readline()
    server.process.kill()
    server.process.wait()
    server.restart()
    shown, said = watcher.communicate(timeout=100)
    assert watcher.returncode == 0, said
    assert "trying again" in said
    assert shown.startswith(f"http://127.0.0.1:{server.port}/outputs/")


@pytest.fixture(autouse=True)
def _ended(server: Server) -> Any:
    """The next test finds no job of this one."""
    yield
    for job in server.client.get("/jobs?limit=30").json()["jobs"]:
        if job["finished_at"] is None:
            server.client.delete(f"/jobs/{job['id']}")
            server.wait_for(job["id"], "cancelled", "succeeded")
