"""What the server does is what `GET /openapi.json` says: Schemathesis, all its checks, every native route.

Every run is the same; `ECURIE_FUZZ_SECONDS` asks for more examples, and `ECURIE_FUZZ_SEED` for others.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import FatalError, NonFatalError, PhaseFinished, ScenarioFinished

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.jobs.store import JobStore
from ecurie.requests.body import GenerateBody
from ecurie.requests.sweep import SweepBody
from tests.conftest import FUZZ_SECONDS, FUZZ_SEED
from tests.unit.api.serving import make_app, make_service
from tests.unit.images.pictures import plain, saved

BODIES: dict[str, type[BaseModel]] = {
    "POST /generate": GenerateBody,
    "POST /prompt/preview": GenerateBody,
    "POST /sweeps": SweepBody,
}
# Rules about several fields, which JSON Schema has no words for: both sides of hires or none, and how many
# cells a sweep has, of one picture each, whose axes differ and whose priority is not that of its request.
ABOUT_SEVERAL_FIELDS = {(), ("hires",), ("request", "hires")}

for kind in ("png", "webp", "jpeg"):
    content = saved(plain(64, 72), kind.upper())
    schemathesis.openapi.media_type(f"image/{kind}", st.just(content))

KEY = "schemathesis"
# The statuses that a request of the right form may get by default, and 422.
REFUSABLE = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "5xx"]
SETTINGS: dict[str, Any] = {
    **({} if FUZZ_SEED is None else {"seed": FUZZ_SEED}),
    "max-stream-events": 1,
    "headers": {"Authorization": f"Bearer {KEY}"},
    "generation": {
        "max-examples": max(1, round(FUZZ_SECONDS)),
        "deterministic": FUZZ_SEED is None,
        "database": "none",
    },
    "operations": [
        # A prompt has a grammar, adapters fit a model or do not, base64 holds a picture or not, an image
        # was made here or was not, a key's name can be printed: no form of JSON tells these. What one can
        # tell, `says_all` checks.
        {
            "include-path": ["/generate", "/prompt/preview", "/sweeps", "/replay", "/keys"],
            "checks": {"positive_data_acceptance": {"expected-statuses": REFUSABLE}},
        },
        # It says by its status that no worker is ready, and here none is.
        {
            "include-path": "/readyz",
            "checks": {"not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503"]}},
        },
        # To delete a job is to cancel it: what happened to it can still be asked.
        {
            "include-path-regex": "^/(jobs|sweeps)/",
            "checks": {"use_after_free": {"enabled": False}},
        },
    ],
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    service = make_service(Catalog(BUILTIN["demo"], tmp_path), store, tmp_path, max_queue=10**6)
    # No job ends here: who waits for one, or listens, is answered after one look.
    stopping = itertools.cycle((False, True)).__next__
    keys = {"api_key": KEY, "wrong_keys_per_minute": 10**6}
    yield make_app(service, stopping, allowed_hosts=("testserver",), **keys)
    store.close()


@schemathesis.check
def says_all(ctx: Any, response: Any, case: Any) -> None:
    """A body that fits its schema is one that the server can read: everything in it has the right form."""
    mode = case.meta.generation.mode if case.meta else None
    body = BODIES.get(case.operation.label)
    if body is None or response.status_code != 422 or mode is not schemathesis.GenerationMode.POSITIVE:
        return
    try:
        body.model_validate(case.body)
    except ValidationError as error:
        wrong = [one for one in error.errors() if one["loc"] not in ABOUT_SEVERAL_FIELDS]
        assert wrong == []


def test_every_native_route_does_what_its_description_says(app: FastAPI) -> None:
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", app, config=schemathesis.Config.from_dict(SETTINGS), headers=SETTINGS["headers"]
    ).exclude(path_regex="^/(sdapi|v1|internal|app_id)")
    problems: list[str] = []
    met: Counter[str] = Counter()
    for event in from_schema(schema).execute():
        match event:
            case FatalError():
                raise event.exception
            case NonFatalError():
                problems.append(f"{event.label}: {event.value!r}")
            case PhaseFinished():
                met[event.phase.name.name] += event.status is Status.SUCCESS
            case ScenarioFinished():
                for number, checks in event.recorder.checks.items():
                    operation = event.recorder.cases[number].value.operation.label
                    met[operation] += len(checks)
                    failures = ((check.name, check.failure_info) for check in checks if check.failure_info)
                    problems += [
                        f"{operation}: {name}: {told.failure}\n{told.code_sample}" for name, told in failures
                    ]
    assert problems == []
    untested = [result.ok().label for result in schema.get_all_operations() if not met[result.ok().label]]
    assert untested == []
    assert all(met[phase] for phase in ("EXAMPLES", "COVERAGE", "FUZZING", "STATEFUL_TESTING")), met
