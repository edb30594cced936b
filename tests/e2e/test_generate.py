"""A real server, asked as a client asks."""

from __future__ import annotations

import io
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ecurie.formats.hashes import sha256_of
from tests.conftest import Server
from tests.unit.adapters import files


def events_of(server: Server, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    events = []
    with server.client.stream("GET", f"/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
    return events


def test_a_prompt_alone_gives_a_picture(server: Server) -> None:
    answer = server.client.post("/generate", json={"prompt": "red apple"})
    assert answer.status_code == 202
    accepted = answer.json()
    assert accepted["status_url"] == answer.headers["location"] == f"/jobs/{accepted['id']}"
    job = server.wait_for(accepted["id"], "succeeded")
    assert (job["request"]["model"], job["attempts"], job["error"]) == ("sdxl-base", 1, None)
    (image,) = job["result"]["images"]
    content = server.client.get(image["url"])
    assert content.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(content.content)).size == (64, 64)
    assert (server.data_dir / "outputs" / image["filename"]).read_bytes() == content.content
    timings = job["result"]["timings"]
    assert timings.keys() == {"queue", "prepare", "switch", "encode", "denoise", "decode", "save"}
    assert all(seconds > 0 for seconds in timings.values())


@pytest.mark.parametrize(("query", "headers"), [("?wait=60", {}), ("", {"prefer": "wait=60"})])
def test_waiting_answers_with_the_result(server: Server, query: str, headers: dict[str, str]) -> None:
    body = {"prompt": "cat face", "steps": 3, "num_images": 2, "seed": 5}
    answer = server.client.post(f"/generate{query}", json=body, headers=headers)
    assert answer.status_code == 200
    assert [image["seed"] for image in answer.json()["result"]["images"]] == [5, 6]


def test_a_wait_that_is_too_short_answers_202(server: Server) -> None:
    answer = server.client.post("/generate?wait=0.05", json={"prompt": "x", "steps": 150})
    assert answer.status_code == 202
    server.client.delete(answer.headers["location"])


def test_an_image_s_metadata_makes_it_again(server: Server) -> None:
    body = {"prompt": "rocket", "steps": 4, "num_images": 2, "model": "pony-xl-v6", "prompt_prefix": False}
    first = server.client.post("/generate?wait=60", json=body).json()["result"]["images"][1]
    again = server.client.post("/generate?wait=60", json=first["metadata"]).json()["result"]["images"][0]
    contents = [server.client.get(image["url"]).content for image in (first, again)]
    assert contents[0] == contents[1]


def test_events_tell_every_state_and_rising_steps(server: Server) -> None:
    events = events_of(server, server.submit(steps=60))
    states = [data["state"] for name, data in events if name == "state"]
    assert states[-1] == "succeeded"
    assert [state for state, _ in itertools.groupby(states)] == states
    steps = [data["step"] for name, data in events if name == "step"]
    assert steps == sorted(steps)
    assert len(steps) > 3
    assert events[-1][1]["result"]["images"]


def test_events_of_an_ended_job_are_its_end(server: Server) -> None:
    job_id = server.submit(steps=1)
    server.wait_for(job_id, "succeeded")
    assert [name for name, _ in events_of(server, job_id)] == ["state"]


def test_a_running_job_is_cancelled_within_a_step_and_leaves_no_file(server: Server) -> None:
    before = set((server.data_dir / "outputs").iterdir())
    job_id = server.submit(steps=150, num_images=4)
    server.wait_for(job_id, "running")
    began = time.monotonic()
    assert server.client.delete(f"/jobs/{job_id}").status_code == 200
    job = server.wait_for(job_id, "cancelled")
    assert time.monotonic() - began < 3
    assert job["result"] is None
    assert set((server.data_dir / "outputs").iterdir()) == before
    again = server.client.delete(f"/jobs/{job_id}")
    assert (again.status_code, again.json()["code"]) == (409, "job-finished")


def test_a_queued_job_is_cancelled_at_once(server: Server) -> None:
    running = server.submit(steps=150, num_images=4)
    server.wait_for(running, "running")
    queued = server.submit()
    assert server.job(queued)["queue_position"] == 1
    assert server.client.delete(f"/jobs/{queued}").json()["state"] == "cancelled"
    server.client.delete(f"/jobs/{running}")
    assert server.wait_for(running, "cancelled")["attempts"] == 1
    assert server.job(queued)["attempts"] == 0


def test_jobs_are_listed_newest_first_and_by_state(server: Server) -> None:
    ids = [server.submit(steps=1) for _ in range(3)]
    for job_id in ids:
        server.wait_for(job_id, "succeeded")
    listed = [job["id"] for job in server.client.get("/jobs?limit=3").json()["jobs"]]
    assert listed == ids[::-1]
    states = {job["state"] for job in server.client.get("/jobs?state=succeeded").json()["jobs"]}
    assert states == {"succeeded"}


def test_lists_have_the_shapes_that_clients_know(server: Server) -> None:
    models = {model["id"]: model for model in server.client.get("/models").json()["models"]}
    assert models["sdxl-base"]["default"]
    assert models["pony-xl-v6"]["unavailable"] is None
    assert {"name", "supported_loras"} <= models["pony-xl-v6"].keys()
    loras = server.client.get("/loras").json()["loras"]
    assert all({"id", "name", "default_weight", "trigger_words"} <= lora.keys() for lora in loras)
    assert len(server.client.get("/schedulers").json()["schedulers"]) > 20
    system = server.client.get("/system").json()
    assert (system["workers"][0]["device"], system["catalogue_error"]) == ("cpu", None)


def test_an_adapter_changes_the_picture_is_reported_and_leaves_nothing(server: Server) -> None:
    """A file put into the folder is an adapter at once."""
    folder = server.data_dir / "models" / "adapters"
    folder.mkdir(exist_ok=True)
    files.save(folder / "My Style.safetensors", files.kohya_tensors(files.attention_places()))
    listed = {lora["id"]: lora["unavailable"] for lora in server.client.get("/loras").json()["loras"]}
    assert listed["my-style"] is None

    def picture(**fields: Any) -> tuple[bytes, dict[str, Any]]:
        body = {"prompt": "red apple", "seed": 7, "steps": 4, **fields}
        job = server.client.post("/generate?wait=60", json=body).json()
        assert job["state"] == "succeeded", job
        return server.client.get(job["result"]["images"][0]["url"]).content, job

    before, _ = picture()
    styled, job = picture(loras=[{"name": "my-style", "weight": 0.8}])
    after, clean = picture()
    (report,) = job["result"]["report"]["adapters"]
    assert (report["naming"], report["unet"], report["ranks"]) == ("kohya", 0.8, {"4": report["modules"]})
    assert report["sha256"] == sha256_of(folder / "My Style.safetensors")
    assert job["result"]["report"]["weights_written"] == report["modules"]
    assert styled != before == after
    assert clean["result"]["report"]["adapters"] == []
    again, _ = picture(**job["result"]["images"][0]["metadata"])
    assert again == styled
    tagged, job = picture(
        prompt="red apple <lora:My Style:0.8>", loras=[{"name": "my-style", "blocks": [0] * 20}]
    )
    assert [report["unet"] for report in job["result"]["report"]["adapters"]] == [1, 0.8]
    assert job["request"]["prompt"] == "red apple <lora:My Style:0.8>"
    assert job["result"]["prompt"] == "red apple"
    # The text encoders have this stack already.
    assert 0 < job["result"]["report"]["weights_written"] < report["modules"]
    again, _ = picture(**job["result"]["images"][0]["metadata"])
    assert again == tagged


def test_an_adapter_of_nan_fails_its_job_and_the_next_is_clean(server: Server) -> None:
    folder = server.data_dir / "models" / "adapters"
    folder.mkdir(exist_ok=True)
    tensors = files.kohya_tensors(files.attention_places()[:6])
    tensors[list(tensors)[-2]].fill_(float("nan"))
    files.save(folder / "broken.safetensors", tensors)
    body = {"steps": 2, "seed": 1}
    before = server.wait_for(server.submit(**body), "succeeded")
    broken = server.wait_for(server.submit(**body, loras=[{"name": "broken"}]), "failed")
    assert (broken["error"]["code"], broken["attempts"]) == ("adapter-invalid", 1)
    after = server.wait_for(server.submit(**body), "succeeded")
    urls = [job["result"]["images"][0]["url"] for job in (before, after)]
    assert server.client.get(urls[0]).content == server.client.get(urls[1]).content
    (folder / "broken.safetensors").unlink()


PROBLEMS: list[tuple[Any, int, str, str]] = [
    ({"prompt": "x", "model": "nope"}, 404, "unknown-model", "sdxl-base"),
    ({"prompt": "x", "unknown": 1}, 422, "invalid-request", "unknown: unknown field"),
    ({"prompt": "x", "steps": "30"}, 422, "invalid-request", "steps: Input should be a valid integer"),
    ({"prompt": "x", "steps": 151}, 422, "invalid-request", "got 151"),
    ({"prompt": ["x"]}, 422, "invalid-request", "prompt: "),
    ({"prompt": "x", "width": 70}, 422, "invalid-request", "width: Input should be a multiple of 8"),
    ({"prompt": "x", "width": 1024, "height": 1024}, 422, "invalid-request", "1,048,576 pixels"),
    ({"prompt": ""}, 422, "invalid-request", "prompt: is empty"),
    ({}, 422, "invalid-request", "prompt: is missing"),
    ({"prompt": "x" * 100_000}, 422, "invalid-request", "at most 10000 characters"),
    ({"prompt": "a\0b"}, 422, "invalid-request", "NUL"),
    ({"prompt": "x", "loras": [{"name": "nope"}]}, 404, "unknown-adapter", "style-anime"),
    ({"prompt": "x", "loras": [{"name": "a", "weight": 4.5}]}, 422, "invalid-request", "loras.0.weight"),
    (
        {"prompt": "x", "loras": [{"name": "a", "blocks": [1]}]},
        422,
        "invalid-request",
        "1 numbers: a list of",
    ),
    (
        {"prompt": "x", "loras": [{"name": "a", "blocks": 1}]},
        422,
        "invalid-request",
        "loras.0.blocks: should be",
    ),
    ({"prompt": "x <lora:nope>"}, 404, "unknown-adapter", "style-anime"),
    ({"prompt": "x <lora:style-anime:a>"}, 422, "invalid-request", "'a' is no number"),
    ({"prompt": "x <lora:style-anime:dyn=4>"}, 422, "not-built-yet", "dyn="),
    ({"prompt": "x", "ip_strength": 0.5}, 422, "invalid-request", "ip_strength"),
    ("not json", 400, "malformed-body", "not valid JSON"),
    ('{"prompt": "x",}', 400, "malformed-body", "at character"),
    ('{"prompt": "x", "guidance_scale": 1e309}', 422, "invalid-request", "guidance_scale"),
    ('{"prompt": "x", "guidance_scale": NaN}', 422, "invalid-request", "guidance_scale"),
    ("[" * 100_000, 400, "", ""),
    ("", 422, "invalid-request", "body"),
]


@pytest.mark.parametrize(("body", "status", "code", "shown"), PROBLEMS)
def test_bad_input_is_a_problem_document_that_says_what_to_do(
    server: Server, body: Any, status: int, code: str, shown: str
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = server.client.post("/generate", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= problem.keys()
    assert shown in f"{problem['detail']} {problem.get('remedy')}"
    assert code in problem["code"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "../ecurie.db",
        "..%2fecurie.db",
        "%2e%2e/ecurie.db",
        "%2fetc%2fpasswd",
        "a%00b",
        "nope.png",
        ".hidden",
        "link.png",
        "x" * 300,
    ],
)
def test_nothing_outside_the_outputs_is_served(server: Server, path: str) -> None:
    link = server.data_dir / "outputs" / "link.png"
    if not link.is_symlink():
        link.symlink_to(server.data_dir / "ecurie.db")
    (server.data_dir / "outputs" / ".hidden").write_text("x")
    answer = server.client.get(f"/outputs/{path}")
    assert answer.status_code == 404
    assert b"SQLite" not in answer.content
    link.unlink()


@pytest.mark.parametrize("path", ["/jobs/nope", "/jobs/nope/events", "/nowhere"])
def test_what_is_unknown_is_404(server: Server, path: str) -> None:
    answer = server.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_prompt_that_cannot_be_read_is_refused_before_it_is_a_job(server: Server) -> None:
    before = server.client.get("/jobs").json()["jobs"]
    answer = server.client.post("/generate", json={"prompt": '("a", "b").blend(1)'})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert answer.json()["field"] == "prompt"
    assert server.client.get("/jobs").json()["jobs"] == before


def test_prompts_are_not_logged(server: Server) -> None:
    job_id = server.submit(prompt="a very private wish", steps=1)
    server.wait_for(job_id, "succeeded")
    assert job_id in server.log
    assert "private" not in server.log


def test_all_state_is_in_the_data_folder(server: Server) -> None:
    names = {file.name for file in Path(server.data_dir).iterdir()}
    assert {"ecurie.db", "outputs", "models", "workers", "serve.lock"} <= names
