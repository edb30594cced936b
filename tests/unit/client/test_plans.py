"""Plans, driven by hand: what is asked of a server, one step after the other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from ecurie.client import NotEnded, Refused, Unavailable, Unreachable, asking
from ecurie.client.pictures import with_uploads
from ecurie.client.plans import Ask, Pause, Plan, asked, problem_of, told
from ecurie.errors import RequestError, ServiceError

REQUEST = httpx2.Request("GET", "http://localhost:8009/jobs/1?wait=3")
FULL = {"detail": "the queue is full", "code": "queue-full"}


def answer(status: int, content: Any = None, **headers: str) -> httpx2.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, json=content, headers=names, request=REQUEST)


def outcome(plan: Plan[Any], *answers: httpx2.Response) -> Any:
    """Of a plan that asks for these answers and no more."""
    waiting = iter(answers)
    sent: Any = None
    try:
        while True:
            plan.send(sent)
            sent = next(waiting)
    except StopIteration as end:
        assert next(waiting, None) is None
        return end.value


def test_a_problem_document_becomes_an_error_with_its_words() -> None:
    document = {"detail": "no model", "code": "unknown-model", "field": "model", "remedy": "use another"}
    with pytest.raises(Refused, match="no model") as caught:
        outcome(told(Ask("GET", "/models")), answer(404, document))
    error = caught.value
    assert (error.code, error.status, error.field, error.remedy) == (
        "unknown-model",
        404,
        "model",
        "use another",
    )
    assert isinstance(error, RequestError)


def test_what_the_server_cannot_do_now_is_another_error() -> None:
    error = problem_of(answer(429, FULL, retry_after="10"))
    assert isinstance(error, Unavailable)
    assert isinstance(error, ServiceError)
    assert error.retry_after == 10
    other = problem_of(answer(503, FULL, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"))
    assert isinstance(other, Unavailable)
    assert other.retry_after is None


@pytest.mark.parametrize("content", [["a list"], {"error": "another server"}, None])
def test_an_answer_of_another_server_is_told_as_such(content: Any) -> None:
    error = problem_of(answer(404, content))
    assert isinstance(error, Unreachable)
    assert str(error) == "http://localhost:8009/ answers with status 404, not as Écurie does"
    with pytest.raises(Unreachable, match="not as Écurie does"):
        outcome(told(Ask("GET", "/")), httpx2.Response(200, text="<html>", request=REQUEST))


def test_a_busy_server_is_asked_again_when_it_says_and_no_longer_than_the_patience() -> None:
    plan = asked(Ask("POST", "/generate"), patience=25)
    assert next(plan) == Ask("POST", "/generate")
    assert plan.send(answer(429, FULL, retry_after="10")) == Pause(10)
    assert plan.send(None) == Ask("POST", "/generate")
    with pytest.raises(Unavailable):
        plan.send(answer(429, FULL, retry_after="26"))
    with pytest.raises(Unavailable):
        outcome(asked(Ask("POST", "/generate")), answer(429, FULL, retry_after="0.5"))


def job(state: str) -> Any:
    return {"id": "1", "state": state, "error": None, "result": None}


def test_a_job_is_asked_for_until_it_has_ended() -> None:
    plan = asking.until_ended(job("queued"), None)
    assert next(plan) == Ask("GET", "/jobs/1", {"wait": 30.0}, seconds=30.0)
    assert plan.send(answer(200, job("running"))) == Pause(0.5)
    plan.send(None)
    with pytest.raises(StopIteration) as ended:
        plan.send(answer(200, job("succeeded")))
    assert ended.value.value == job("succeeded")
    assert outcome(asking.until_ended(job("failed"), None)) == job("failed")


def test_a_wait_ends_in_time_and_the_job_goes_on() -> None:
    plan = asking.until_ended(job("running"), 0.05)
    first = next(plan)
    assert isinstance(first, Ask)
    assert 0 < first.seconds <= 0.05
    plan.send(answer(200, job("running")))
    time.sleep(0.05)
    with pytest.raises(NotEnded, match="has not ended") as caught:
        plan.send(None)
    assert isinstance(caught.value, TimeoutError)


def test_a_server_that_is_away_is_waited_for_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = asking.until_ended(job("running"), None)
    next(plan)
    assert plan.throw(Unreachable("gone")) == Pause(0.5)
    assert isinstance(plan.send(None), Ask)
    monkeypatch.setattr("ecurie.client.following.PATIENCE_SECONDS", -1)
    with pytest.raises(Unreachable, match="gone"):
        plan.throw(Unreachable("gone"))


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), TimeoutError(), Unreachable("gone")])
def test_a_job_whose_waiting_is_given_up_is_cancelled(reason: BaseException) -> None:
    plan = asking.or_cancelled(job("running"), asking.until_ended(job("running"), None))
    next(plan)
    step: Any = plan.throw(reason)
    if isinstance(reason, Unreachable):
        # The server may be away for a while.
        assert step == Pause(0.5)
        step = plan.throw(KeyboardInterrupt())
        reason = KeyboardInterrupt()
    assert step == Ask("DELETE", "/jobs/1", last_word=True)
    with pytest.raises(type(reason)):
        plan.throw(Refused("ended", code="job-finished", status=409, field=None, remedy=None))


def test_a_plan_that_is_dropped_asks_nothing_more() -> None:
    plan = asking.or_cancelled(job("running"), asking.until_ended(job("running"), None))
    next(plan)
    plan.close()


def test_ids_cannot_lead_elsewhere() -> None:
    assert next(asking.job("../system?x=1")) == Ask("GET", "/jobs/..%2Fsystem%3Fx%3D1")


def test_pictures_that_are_here_are_sent_and_others_named(tmp_path: Path) -> None:
    file = tmp_path / "start.png"
    file.write_bytes(b"a file")
    fields = {
        "steps": 3,
        "init_image": str(file),
        "mask": Image.new("L", (8, 8)),
        "reference_images": [b"some bytes", "812e0fd13e174e5e65b1395c1b9a0d2f", file],
    }
    plan = with_uploads(fields)
    sent: list[bytes] = []
    upload: Any = None
    try:
        while True:
            step = plan.send(upload)
            assert isinstance(step, Ask)
            assert (step.method, step.path) == ("POST", "/images")
            assert step.content is not None
            sent.append(step.content)
            upload = answer(201, {"id": f"upload {len(sent)}"})
    except StopIteration as end:
        settled = end.value
    assert sent[0] == sent[3] == b"a file"
    assert sent[1].startswith(b"\x89PNG")
    assert sent[2] == b"some bytes"
    assert settled == {
        "steps": 3,
        "init_image": "upload 1",
        "mask": "upload 2",
        "reference_images": ["upload 3", "812e0fd13e174e5e65b1395c1b9a0d2f", "upload 4"],
    }


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(TypeError, match="a picture is a path, bytes or a Pillow image, not int"):
        next(with_uploads({"mask": 7}))
    with pytest.raises(FileNotFoundError):
        next(with_uploads({"mask": Path("nowhere.png")}))
