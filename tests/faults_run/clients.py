"""Clients that submit, cancel and watch from threads of their own, and write down what they are told."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.faults_run.history import History

SUBMITTERS, PAUSE_SECONDS, STREAM_SECONDS = 3, 0.2, 5.0
REFUSED, UNAVAILABLE = {429, 507}, 503


@dataclass(frozen=True, slots=True)
class Wish:
    """A request to send `at` so many seconds after the start, and to cancel so long after it is accepted."""

    at: float
    fields: dict[str, Any]
    cancel_after: float | None


class Clients:
    """`seeds` gives each submission one of its own, so that requests can be told apart in the job table."""

    def __init__(self, url: str, wishes: list[Wish], history: History, seeds: Iterator[int]):
        self._url, self._history, self._seeds = url, history, seeds
        self._wishes = iter(sorted(wishes, key=lambda wish: wish.at))
        self._began = time.monotonic()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._submitters = [self._thread(self._submit_all) for _ in range(SUBMITTERS)]
        self._watchers = [self._thread(self._look), self._thread(self._follow)]

    def _thread(self, target: Callable[[httpx2.Client], None]) -> threading.Thread:
        def run() -> None:
            with httpx2.Client(base_url=self._url, timeout=30, trust_env=False) as client:
                try:
                    target(client)
                except Exception as error:
                    self._history.errors.append(f"a client failed: {error!r}")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    @property
    def done(self) -> bool:
        """Whether every wish was sent, and accepted."""
        return not any(thread.is_alive() for thread in self._submitters)

    def stop(self) -> None:
        self._stopping.set()
        for thread in (*self._submitters, *self._watchers):
            thread.join(60)

    def _submit_all(self, client: httpx2.Client) -> None:
        while True:
            with self._lock:
                wish = next(self._wishes, None)
            if wish is None:
                return
            if self._stopping.wait(max(0.0, self._began + wish.at - time.monotonic())):
                return
            job_id = self._submit(client, wish)
            if job_id is not None and wish.cancel_after is not None:
                self._stopping.wait(wish.cancel_after)
                self._cancel(client, job_id)

    def _submit(self, client: httpx2.Client, wish: Wish) -> str | None:
        """Sent again until it is accepted. What got no answer may be a job or not, so it is never repeated:
        the next try is another request."""
        while not self._stopping.is_set():
            with self._lock:
                seed = next(self._seeds)
            asked = time.monotonic()
            try:
                answer = client.post("/generate", json={**wish.fields, "seed": seed})
            except httpx2.TransportError:
                self._history.unanswered.add(seed)
            else:
                if answer.status_code == 202:
                    self._history.accept(answer.json(), seed, asked)
                    job_id: str = answer.json()["id"]
                    return job_id
                if answer.status_code in REFUSED:
                    self._history.refused[seed] = answer.status_code
                elif answer.status_code == UNAVAILABLE:
                    # The store may have taken the job and died before it said so.
                    self._history.unanswered.add(seed)
                else:
                    self._history.unanswered.add(seed)
                    self._history.errors.append(f"POST /generate answered {answer.text}")
            self._stopping.wait(PAUSE_SECONDS)
        return None

    def _cancel(self, client: httpx2.Client, job_id: str) -> None:
        """Until there is an answer; 409 means that the job has ended."""
        while not self._stopping.is_set():
            asked = time.monotonic()
            answer = self._ask(client, "DELETE", f"/jobs/{job_id}", {200, 409})
            if answer is not None:
                if answer.status_code == 200:
                    self._history.was_cancelled(answer.json(), asked)
                return
            self._stopping.wait(PAUSE_SECONDS)

    def _ask(self, client: httpx2.Client, method: str, path: str, good: set[int]) -> httpx2.Response | None:
        """None when there was no answer, or one that says to try again."""
        try:
            answer = client.request(method, path)
        except httpx2.TransportError:
            return None
        if answer.status_code in good:
            return answer
        if answer.status_code != UNAVAILABLE:
            self._history.errors.append(f"{method} {path} answered {answer.text}")
        return None

    def _look(self, client: httpx2.Client) -> None:
        """At a job by itself, or at the newest ones."""
        chance = random.Random(0)
        for turn in itertools.count():
            if self._stopping.wait(0.1):
                return
            ids = self._history.accepted_ids()
            asked = time.monotonic()
            if turn % 10 == 0:
                if (answer := self._ask(client, "GET", "/jobs?limit=40", {200})) is not None:
                    for job in answer.json()["jobs"]:
                        self._history.saw(job, asked)
            elif (
                ids and (answer := self._ask(client, "GET", f"/jobs/{chance.choice(ids)}", {200})) is not None
            ):
                self._history.saw(answer.json(), asked)

    def _follow(self, client: httpx2.Client) -> None:
        """One job after the other by its events, each for a while."""
        chance = random.Random(1)
        while not self._stopping.wait(0.05):
            if ids := self._history.accepted_ids():
                job_id = chance.choice(ids[-20:])
                for asked, job in self._states(client, job_id):
                    self._history.saw(job, asked)

    def _states(self, client: httpx2.Client, job_id: str) -> Iterator[tuple[float, dict[str, Any]]]:
        asked = time.monotonic()
        try:
            with client.stream("GET", f"/jobs/{job_id}/events") as answer:
                event = ""
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        event = value
                    elif name == "data" and event == "state":
                        yield asked, json.loads(value)
                    if self._stopping.is_set() or time.monotonic() - asked > STREAM_SECONDS:
                        return
        except httpx2.TransportError:
            return


@contextmanager
def clients_of(url: str, wishes: list[Wish], history: History, seeds: Iterator[int]) -> Iterator[Clients]:
    clients = Clients(url, wishes, history, seeds)
    try:
        yield clients
    finally:
        clients.stop()
