"""Who is let in, and what is said to those who are not."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ecurie.access.keys import KeyStore
from ecurie.api.admission import network_of
from ecurie.api.schemas import worker_for_users, worker_out
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import Allowance, Role
from ecurie.jobs.store import JobStore
from ecurie.jobs.workers import WorkerRow
from ecurie.service import Service
from tests.unit.api.serving import make_client, make_service

WRONG = {"authorization": "Bearer ecurie_wrong"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield make_service(Catalog(BUILTIN["demo"], tmp_path), store, tmp_path)
    store.close()


@pytest.fixture
def keys(service: Service) -> KeyStore:
    return KeyStore(service.store.database)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


ODD = [
    basic("", ""),
    basic("someone", "something"),
    {"authorization": "Basic"},
    {"authorization": "Basic "},
    {"authorization": "Basic !!!"},
    {"authorization": "Basic w6k"},
    {"authorization": "Bearer"},
    {"authorization": "nonsense"},
    {"authorization": ""},
]


@pytest.mark.parametrize("header", [{}, WRONG, *ODD])
def test_where_no_key_is_needed_nothing_that_is_sent_as_one_is_refused(
    service: Service, header: dict[str, str]
) -> None:
    """Some clients always send a Basic header, even an empty one."""
    assert make_client(service).get("/jobs", headers=header).status_code == 200


@pytest.mark.parametrize("header", [{}, *ODD])
def test_where_one_is_needed_nothing_else_will_do(service: Service, header: dict[str, str]) -> None:
    served = make_client(service, api_key="sésame")
    answer = served.get("/jobs", headers=header)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/sdapi/v1/options", "/internal/ping", "/app_id"):
        refused = served.get(path, headers=header)
        assert (refused.status_code, refused.headers["www-authenticate"].split()[0]) == (401, "Basic")
    for path in ("/", "/healthz"):
        assert served.get(path, headers=header).status_code == 200


def test_a_key_is_sent_as_a_bearer_or_as_a_password(service: Service, keys: KeyStore) -> None:
    secret = keys.create("anna", Role.USER).secret
    served = make_client(service, api_key="sésame")
    for key in (secret, "sésame"):
        for header in (bearer(key), basic("", key), basic("anyone", key)):
            sent = {name: value.encode() for name, value in header.items()}
            assert served.get("/jobs", headers=sent).status_code == 200
            sent = {"authorization": sent["authorization"].replace(b"B", b"b", 1)}
            assert served.get("/jobs", headers=sent).status_code == 200
    assert served.get("/jobs", headers=basic(secret, "")).status_code == 401
    assert served.get("/jobs", headers=bearer(f"{secret} x")).status_code == 401


def test_the_first_key_closes_the_server_to_those_without(service: Service, keys: KeyStore) -> None:
    served = make_client(service)
    assert served.get("/jobs").status_code == 200
    made = served.post("/keys", json={"name": "anna", "role": "admin"})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert served.get("/jobs").status_code == 401
    assert served.get("/jobs", headers=bearer(made.json()["key"])).status_code == 200


def test_strangers_need_a_key_even_where_there_is_none(service: Service) -> None:
    assert make_client(service, key_always=True).get("/jobs").status_code == 401


def test_no_answer_tells_whether_a_key_exists_or_did(service: Service, keys: KeyStore) -> None:
    keys.create("ben", Role.ADMIN)
    revoked = keys.create("anna", Role.USER)
    keys.revoke(revoked.key.id)
    served = make_client(service)
    answers = [
        served.get("/jobs", headers=header)
        for header in ({}, WRONG, bearer(revoked.secret), bearer(revoked.key.id))
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(401, answers[0].content)}


def test_who_sends_many_wrong_keys_waits_and_nobody_else(service: Service, keys: KeyStore) -> None:
    secret = keys.create("anna", Role.USER).secret
    guessing = make_client(service, api_key="chosen", wrong_keys_per_minute=3)
    for _ in range(5):
        assert guessing.get("/jobs").status_code == 401
        assert guessing.get("/jobs", headers=basic("", "")).status_code == 401
    for _ in range(3):
        assert guessing.get("/jobs", headers=WRONG).status_code == 401
    refused = guessing.get("/jobs", headers=WRONG)
    assert (refused.status_code, refused.json()["code"]) == (429, "limit-reached")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert guessing.get("/jobs", headers=bearer("chosen")).status_code == 429
    assert guessing.get("/jobs", headers=bearer(secret)).status_code == 200
    elsewhere = TestClient(guessing.app, base_url="http://localhost:8009", client=("192.0.2.2", 1))
    assert elsewhere.get("/jobs", headers=bearer("chosen")).status_code == 200


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_a_client_of_ipv6_is_its_network(one: str, other: str, same: bool) -> None:
    first, second = (network_of({"client": (address, 1)}) for address in (one, other))
    assert (first == second) is same


def test_requests_a_minute_are_limited_by_key(service: Service, keys: KeyStore) -> None:
    few = keys.create("anna", Role.USER, Allowance(requests_per_minute=2)).secret
    many = keys.create("ben", Role.USER).secret
    served = make_client(service)
    for _ in range(2):
        assert served.get("/models", headers=bearer(few)).status_code == 200
    refused = served.get("/models", headers=bearer(few))
    assert (refused.status_code, refused.json()["code"]) == (429, "limit-reached")
    assert "2 requests a minute" in refused.json()["detail"]
    assert 55 <= int(refused.headers["retry-after"]) <= 60
    assert served.get("/models", headers=bearer(many)).status_code == 200
    assert served.get("/healthz", headers=bearer(few)).status_code == 200


def test_waiting_jobs_and_pixels_are_limited_by_key_and_no_restart_forgets(
    service: Service, keys: KeyStore
) -> None:
    body = {"prompt": "x", "width": 64, "height": 64, "num_images": 2}
    sweep = {"request": {"prompt": "x", "width": 64, "height": 64}, "x": {"field": "seed", "values": [1, 2]}}
    waiting = bearer(keys.create("anna", Role.USER, Allowance(queued_jobs=1)).secret)
    drawing = bearer(keys.create("ben", Role.USER, Allowance(pixels_per_day=3 * 64 * 64)).secret)
    served = make_client(service)
    assert served.post("/generate", json=body, headers=waiting).status_code == 202
    assert served.post("/generate", json=body, headers=drawing).status_code == 202
    served = make_client(service)
    for header, told in ((waiting, "1 jobs waiting"), (drawing, "pixels a day")):
        for path, sent in (("/generate", body), ("/sweeps", sweep)):
            refused = served.post(path, json=sent, headers=header)
            assert (refused.status_code, refused.json()["code"]) == (429, "limit-reached")
            assert told in refused.json()["detail"]
            assert int(refused.headers["retry-after"]) > 0
    hires = body | {"num_images": 1, "hires": {"scale": 2}}
    assert served.post("/generate", json=hires, headers=drawing).status_code == 429
    assert served.post("/generate", json=body | {"num_images": 1}, headers=drawing).status_code == 202


@pytest.mark.parametrize("method", ["get", "post", "patch", "delete", "rotate"])
def test_keys_are_admins_alone(service: Service, keys: KeyStore, method: str) -> None:
    user, admin = keys.create("anna", Role.USER), keys.create("ben", Role.ADMIN)
    served, place = make_client(service), f"/keys/{user.key.id}"
    sent = {
        "get": ("GET", "/keys", None, 200),
        "post": ("POST", "/keys", {"name": "carl", "role": "user"}, 201),
        "patch": ("PATCH", place, {"queued_jobs": 3}, 200),
        "delete": ("DELETE", place, None, 200),
        "rotate": ("POST", f"{place}/rotate", None, 200),
    }
    verb, path, body, status = sent[method]
    refused = served.request(verb, path, json=body, headers=bearer(user.secret))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert served.request(verb, path, json=body, headers=bearer(admin.secret)).status_code == status


def test_keys_are_told_made_and_changed_over_http(service: Service, keys: KeyStore) -> None:
    served = make_client(service, api_key="mine")
    served.headers["authorization"] = "Bearer mine"
    made = served.post("/keys", json={"name": "anna", "role": "user", "pixels_per_day": 5}).json()
    place = f"/keys/{made['id']}"
    limited = served.patch(place, json={"queued_jobs": 2}).json()
    assert (limited["pixels_per_day"], limited["queued_jobs"]) == (5, 2)
    assert served.patch(place, json={"pixels_per_day": None}).json()["pixels_per_day"] is None
    rotated = served.post(f"{place}/rotate").json()
    assert (rotated["id"], rotated["key"] == made["key"]) == (made["id"], False)
    revoked = served.delete(place).json()
    assert revoked["revoked_at"] is not None
    listed = served.get("/keys")
    assert listed.json() == {"keys": [revoked]}
    assert rotated["key"] not in listed.text
    assert served.post(f"{place}/rotate").status_code == 422
    unknown = served.delete("/keys/000000000000")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown-key")
    for wrong in ({"name": "x", "role": "king"}, {"name": "x"}, {"name": "a\nb", "role": "user"}):
        assert served.post("/keys", json=wrong).status_code == 422
    for most in (0, -1, 10**30, 1.5, True):
        assert served.patch(place, json={"queued_jobs": most}).status_code == 422


def test_interactive_jobs_are_admins(service: Service, keys: KeyStore) -> None:
    user, admin = (bearer(keys.create("x", role).secret) for role in (Role.USER, Role.ADMIN))
    served = make_client(service)
    body = {"prompt": "x", "priority": "interactive"}
    refused = served.post("/generate", json=body, headers=user)
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (
        403,
        "forbidden",
        "priority",
    )
    sweep = {"request": {"prompt": "x"}, "x": {"field": "seed", "values": [1]}, "priority": "interactive"}
    assert served.post("/sweeps", json=sweep, headers=user).status_code == 403
    assert served.post("/generate", json=body, headers=admin).status_code == 202
    own = served.post("/generate", json={"prompt": "x"}, headers=user).json()
    change = {"priority": "interactive"}
    assert served.patch(f"/jobs/{own['id']}", json=change, headers=user).status_code == 403
    assert served.patch(f"/jobs/{own['id']}", json={"priority": "batch"}, headers=user).status_code == 200
    assert served.patch(f"/jobs/{own['id']}", json=change, headers=admin).status_code == 200


def test_users_are_not_told_of_machines() -> None:
    models = [{"id": "sdxl-base", "weights": 1, "adapters": [{"name": "secret"}]}]
    row = WorkerRow(
        name="w",
        host="gpu.lan",
        pid=7,
        version="1",
        device="cuda",
        dtype="float16",
        started_at=0.0,
        seen_at=0.0,
        job="0" * 32,
        memory={"ram_budget": 1, "models": models},
        on_disk=("pony",),
        rung_for=None,
    )
    told = worker_for_users(row)
    assert told == {"state": "busy", "device": "cuda", "serves": None, "models": [{"id": "sdxl-base"}]}
    assert worker_out(row)["host"] == "gpu.lan"
