"""A real server with keys: two users, an admin, and strangers; every native route is in ROUTES."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ecurie.api.app import create_app
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.store import JobStore
from tests.conftest import Server, StartServer
from tests.unit.api.serving import make_service
from tests.unit.images.pictures import plain, saved

OTHER_INTERFACES = ("/sdapi/", "/internal/", "/app_id", "/v1/", "/web/")
"""Whose own tests say who may what."""
PICTURE = saved(plain(64, 64))

OPEN, SAME, OWN, MAKES, HIDDEN, ADMINS = "open", "same for all", "own only", "makes", "hidden", "admins"
ROUTES = {
    "GET /": OPEN,
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /openapi.json": SAME,
    "GET /models": SAME,
    "GET /loras": SAME,
    "GET /loras/{adapter_id}": SAME,
    "GET /loras/{adapter_id}/thumbnail": SAME,
    "GET /ip-adapters": SAME,
    "GET /presets": SAME,
    "GET /schedulers": SAME,
    "GET /embeddings": SAME,
    "GET /jobs": OWN,
    "GET /gallery": OWN,
    "GET /system": OWN,
    "POST /generate": MAKES,
    "POST /prompt/preview": MAKES,
    "POST /images": MAKES,
    "POST /sweeps": MAKES,
    "POST /replay": MAKES,
    "POST /read-image": MAKES,
    "GET /jobs/{job_id}": HIDDEN,
    "GET /jobs/{job_id}/events": HIDDEN,
    "GET /jobs/{job_id}/manifests": HIDDEN,
    "PATCH /jobs/{job_id}": HIDDEN,
    "DELETE /jobs/{job_id}": HIDDEN,
    "GET /outputs/{filename}": HIDDEN,
    "GET /outputs/{filename}/thumbnail": HIDDEN,
    "DELETE /outputs/{filename}": HIDDEN,
    "GET /sweeps/{sweep_id}": HIDDEN,
    "GET /sweeps/{sweep_id}/grid": HIDDEN,
    "DELETE /sweeps/{sweep_id}": HIDDEN,
    "GET /images/{picture_id}": HIDDEN,
    "DELETE /images/{picture_id}": HIDDEN,
    "GET /metrics": ADMINS,
    "GET /keys": ADMINS,
    "POST /keys": ADMINS,
    "PATCH /keys/{key_id}": ADMINS,
    "DELETE /keys/{key_id}": ADMINS,
    "POST /keys/{key_id}/rotate": ADMINS,
}


def routes_of(routes: Iterable[Any]) -> Iterator[str]:
    """Also those that the description leaves out."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from routes_of(route.original_router.routes)
        elif hasattr(route, "routes"):
            yield from routes_of(route.routes)
        else:
            yield from (f"{method} {route.path}" for method in route.methods - {"HEAD"})


def test_every_native_route_is_listed(tmp_path: Path) -> None:
    """A new one is to be put into ROUTES, which the tests below go through."""
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    service = make_service(Catalog(BUILTIN["demo"], tmp_path), store, tmp_path)
    app = create_app(
        service,
        lambda: False,
        Forecasts(store.database, list, 60),
        allowed_hosts=(),
        allowed_origins=(),
        api_key=None,
        max_body_bytes=1000,
        max_upload_bytes=1000,
    )
    found = {route for route in routes_of(app.routes) if not route.split()[1].startswith(OTHER_INTERFACES)}
    assert found == set(ROUTES)
    store.close()


@dataclass(frozen=True)
class People:
    """Clients of one server, each with its key, and one from another address of this machine without any."""

    server: Server
    anna: httpx2.Client
    ben: httpx2.Client
    admin: httpx2.Client
    stranger: httpx2.Client
    key_ids: dict[str, str]


def ecurie(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ecurie", *arguments],
        env={**os.environ, "ECURIE_DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@contextmanager
def client(server: Server, key: str | None, address: str = "127.0.0.1") -> Iterator[httpx2.Client]:
    """From an address of this machine."""
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{server.port}",
        timeout=120,
        transport=httpx2.HTTPTransport(local_address=address),
        headers={} if key is None else {"authorization": f"Bearer {key}"},
    ) as made:
        yield made


@pytest.fixture(scope="module")
def people(module_servers: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    folder = tmp_path_factory.mktemp("data")
    made = ecurie(folder, "keys", "create", "--role", "admin", "--name", "admin")
    assert made.returncode == 0, made.stderr
    assert "shown this once" in made.stderr
    server = module_servers("--host", "0.0.0.0", "--trusted-proxies", "127.0.0.1", data_dir=folder)
    with ExitStack() as stack:
        admin = stack.enter_context(client(server, made.stdout.strip()))
        sent = [{"name": name, "role": "user"} for name in ("anna", "ben")]
        keys = [admin.post("/keys", json=body).json() for body in sent]
        anna, ben = (stack.enter_context(client(server, key["key"])) for key in keys)
        stranger = stack.enter_context(client(server, None, "127.0.0.2"))
        yield People(server, anna, ben, admin, stranger, {key["name"]: key["id"] for key in keys})


@dataclass(frozen=True)
class Things:
    """What is anna's."""

    job: dict[str, Any]
    picture: str
    sweep: str

    @property
    def image(self) -> dict[str, Any]:
        image: dict[str, Any] = self.job["result"]["images"][0]
        return image

    def path(self, route: str, key_id: str) -> str:
        return route.format(
            job_id=self.job["id"],
            filename=self.image["filename"],
            picture_id=self.picture,
            sweep_id=self.sweep,
            key_id=key_id,
            adapter_id="style-anime",
        )


@pytest.fixture(scope="module")
def things(people: People) -> Things:
    anna = people.anna
    job = anna.post("/generate?wait=100", json={"prompt": "red apple", "steps": 1}).json()
    assert job["state"] == "succeeded"
    picture = anna.post("/images", content=PICTURE).json()["id"]
    body = {"request": {"prompt": "cat", "steps": 1}, "x": {"field": "seed", "values": [1, 2]}}
    return Things(job, picture, anna.post("/sweeps", json=body).json()["id"])


BODIES = {
    "PATCH /jobs/{job_id}": {"priority": "batch"},
    "PATCH /keys/{key_id}": {"queued_jobs": 100},
    "POST /keys": {"name": "carl", "role": "user"},
}


def of_kind(kind: str) -> list[str]:
    return [route for route, what in ROUTES.items() if what == kind]


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_key_only_open_routes_answer(people: People, things: Things, route: str) -> None:
    method, path = route.split()
    place = things.path(path, people.key_ids["ben"])
    answer = people.stranger.request(method, place, json=BODIES.get(route))
    if ROUTES[route] == OPEN:
        assert answer.status_code == 200
        return
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("route", of_kind(HIDDEN))
def test_what_is_another_s_does_not_exist(people: People, things: Things, route: str) -> None:
    method, path = route.split()
    asked = things.path(path, "")
    refused = people.ben.request(method, asked, json=BODIES.get(route))
    assert refused.status_code == 404
    assert refused.json()["code"].startswith("unknown-")
    nothing = path
    for name in ("job_id", "sweep_id", "picture_id"):
        nothing = nothing.replace(f"{{{name}}}", "0" * 32)
    unknown = people.ben.request(
        method, nothing.replace("{filename}", f"{'0' * 32}.png"), json=BODIES.get(route)
    )
    assert unknown.status_code == 404
    assert unknown.json().keys() == refused.json().keys()
    if method == "GET":
        for allowed in (people.anna, people.admin):
            assert allowed.get(asked).status_code == 200


@pytest.mark.parametrize("route", of_kind(SAME))
def test_what_may_be_named_is_the_same_for_all(people: People, things: Things, route: str) -> None:
    asked = things.path(route.split()[1], "")
    answers = {client.get(asked).content for client in (people.anna, people.ben, people.admin)}
    assert len(answers) == 1


@pytest.mark.parametrize("route", of_kind(ADMINS))
def test_users_may_do_nothing_with_keys(people: People, things: Things, route: str) -> None:
    method, path = route.split()
    for user in (people.anna, people.ben):
        answer = user.request(method, things.path(path, people.key_ids["anna"]), json=BODIES.get(route))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_lists_hold_one_s_own(people: People, things: Things) -> None:
    own = people.ben.post("/generate?wait=100", json={"prompt": "dog", "steps": 1}).json()
    seen = {job["id"] for job in people.ben.get("/jobs?limit=500").json()["jobs"]}
    assert things.job["id"] not in seen
    assert own["id"] in seen
    shown = {
        who: {image["job_id"] for image in client.get("/gallery?limit=200").json()["images"]}
        for who, client in (("ben", people.ben), ("admin", people.admin))
    }
    assert (own["id"] in shown["ben"], things.job["id"] in shown["ben"]) == (True, False)
    assert {own["id"], things.job["id"]} <= shown["admin"]
    everything = {job["id"]: job["owner"] for job in people.admin.get("/jobs?limit=500").json()["jobs"]}
    assert everything[own["id"]] == people.key_ids["ben"]
    assert everything[things.job["id"]] == people.key_ids["anna"]
    told, whole = people.ben.get("/system").json(), people.admin.get("/system").json()
    assert set(told["workers"][0]) == {"state", "device", "serves", "models"}
    assert whole["workers"][0]["host"]


def test_a_request_uses_one_s_own_pictures_only(people: People, things: Things) -> None:
    """Uploads, finished images, and what a manifest names by its hash; in every route that takes pictures."""
    assert set(of_kind(MAKES)) == {
        "POST /generate",
        "POST /prompt/preview",
        "POST /images",
        "POST /sweeps",
        "POST /replay",
        "POST /read-image",
    }
    for picture in (things.picture, things.image["filename"]):
        drawn = {"prompt": "dog", "steps": 2, "init_image": picture, "width": 64, "height": 64}
        looked = {"prompt": "dog", "steps": 1, "reference_images": [picture]}
        for body in (drawn, looked):
            sweep = {"request": body, "x": {"field": "seed", "values": [1]}}
            for path, sent in (("/generate", body), ("/prompt/preview", body), ("/sweeps", sweep)):
                refused = people.ben.post(path, json=sent)
                assert (refused.status_code, refused.json()["code"]) == (404, "unknown-picture"), path
        own = people.anna.post("/generate?wait=100", json=drawn).json()
        assert own["state"] == "succeeded"
    (manifest,) = people.anna.get(f"/jobs/{own['id']}/manifests").json()["manifests"]
    refused = people.ben.post("/replay", json=manifest)
    assert (refused.status_code, refused.json()["code"]) == (409, "weights-missing")
    assert people.anna.post("/replay?wait=100", json=manifest).json()["state"] == "succeeded"
    drawn_over = people.anna.get(own["result"]["images"][0]["url"]).content
    told = {
        name: client.post("/read-image", content=drawn_over).json()
        for name, client in (("anna", people.anna), ("ben", people.ben))
    }
    assert (told["anna"]["notes"], told["anna"]["request"]["init_image"]) == (
        [],
        own["request"]["init_image"],
    )
    assert told["ben"]["notes"] == ["the picture of init_image is not on this server"]
    assert "init_image" not in told["ben"]["request"]


def test_a_picture_that_two_sent_is_both_s(people: People) -> None:
    content = saved(plain(64, 72))
    (place,) = {
        people_s.post("/images", content=content).json()["url"] for people_s in (people.anna, people.ben)
    }
    assert people.anna.delete(place).status_code == 204
    assert people.anna.get(place).status_code == people.anna.delete(place).status_code == 404
    assert people.ben.get(place).content == content
    assert people.admin.delete(place).status_code == 204
    assert people.ben.get(place).status_code == 404


def test_an_image_s_address_is_enough_for_a_while(people: People, things: Things) -> None:
    url = things.image["url"]
    assert "signature=" in url
    answer = people.stranger.get(url)
    assert (answer.status_code, answer.content[:4]) == (200, b"\x89PNG")
    partly = people.stranger.get(url, headers={"range": "bytes=0-3"})
    assert (partly.status_code, partly.content) == (206, b"\x89PNG")
    for forged in (url.replace("signature=", "signature=A"), url.replace("expires=1", "expires=2")):
        refused = people.stranger.get(forged)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    own = people.ben.post("/generate?wait=100", json={"prompt": "cat", "steps": 1}).json()
    other = own["result"]["images"][0]["filename"]
    assert people.stranger.get(url.replace(things.image["filename"], other)).status_code == 403
    query = url.partition("?")[2]
    assert people.stranger.get(f"/jobs/{things.job['id']}?{query}").status_code == 401
    assert people.stranger.post(url).status_code == 401
    assert people.anna.get(url.partition("?")[0]).status_code == 200
    small = people.stranger.get(things.image["thumbnail_url"])
    assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
    assert people.stranger.delete(url).status_code == 401
    sweep = people.anna.get(f"/sweeps/{things.sweep}").json()
    assert people.stranger.get(sweep["cells"][0]["image"]["url"]).status_code == 200


def test_one_s_own_images_can_be_deleted(people: People) -> None:
    job = people.anna.post("/generate?wait=100", json={"prompt": "cat", "steps": 1, "num_images": 2}).json()
    first, second = job["result"]["images"]
    place = f"/outputs/{first['filename']}"
    assert people.ben.delete(place).status_code == 404
    assert people.anna.delete(place).status_code == 204
    assert "was deleted" in people.anna.get(place).json()["detail"]
    assert "there is no output" in people.ben.get(place).json()["detail"]
    assert people.admin.delete(f"/outputs/{second['filename']}").status_code == 204
    shown = people.anna.get("/gallery?limit=200").json()["images"]
    assert job["id"] not in {image["job_id"] for image in shown}


def test_the_command_line_goes_with_a_key(people: People, things: Things) -> None:
    folder, port = people.server.data_dir, str(people.server.port)
    key = people.anna.headers["authorization"].split()[1]
    listed = ecurie(folder, "jobs", "--json", ECURIE_PORT=port, ECURIE_API_KEY=key)
    assert things.job["id"] in {job["id"] for job in json.loads(listed.stdout)}
    watched = ecurie(folder, "watch", things.job["id"], ECURIE_PORT=port, ECURIE_API_KEY=key)
    assert watched.returncode == 0, watched.stderr
    assert people.stranger.get(
        watched.stdout.split()[0].partition("127.0.0.1")[2][len(port) + 1 :]
    ).is_success
    refused = ecurie(folder, "jobs", ECURIE_PORT=port)
    assert (refused.returncode, "no valid API key" in refused.stderr) == (2, True)


def test_a_program_for_automatic1111_logs_in_with_a_key_as_its_password(people: People) -> None:
    key = people.anna.headers["authorization"].split()[1]
    body = {"prompt": "cat", "steps": 1, "width": 64, "height": 64}
    refused = people.stranger.post("/sdapi/v1/txt2img", json=body, auth=("", ""))
    assert (refused.status_code, refused.headers["www-authenticate"].split()[0]) == (401, "Basic")
    drawn = people.stranger.post("/sdapi/v1/txt2img", json=body, auth=("anybody", key))
    assert (drawn.status_code, len(drawn.json()["images"])) == (200, 1)
    newest = people.admin.get("/jobs?limit=1").json()["jobs"][0]
    assert (newest["request"]["prompt"], newest["owner"]) == ("cat", people.key_ids["anna"])


def test_a_key_that_is_revoked_beside_the_server_stops_within_a_second(people: People) -> None:
    key = people.admin.post("/keys", json={"name": "carl", "role": "user"}).json()
    carl = {"authorization": f"Bearer {key['key']}"}
    assert people.stranger.get("/jobs", headers=carl).status_code == 200
    ended = ecurie(people.server.data_dir, "keys", "revoke", key["id"])
    assert ended.returncode == 0, ended.stderr
    time.sleep(1)
    assert people.stranger.get("/jobs", headers=carl).status_code == 401
    listed = ecurie(people.server.data_dir, "keys", "list", "--json")
    (told,) = (one for one in json.loads(listed.stdout) if one["id"] == key["id"])
    assert told["revoked_at"]
    assert key["key"] not in listed.stdout + people.server.log


def test_who_guesses_keys_waits_whatever_address_it_claims(people: People) -> None:
    """Only the proxy of the settings, 127.0.0.1, is believed."""

    def guess(client: httpx2.Client, claimed: str) -> int:
        headers = {"authorization": "Bearer wrong", "x-forwarded-for": claimed}
        return client.get("/jobs", headers=headers).status_code

    with client(people.server, None, "127.0.0.3") as guessing:
        assert [guess(guessing, f"198.51.100.{number}") for number in range(10)] == [401] * 10
        assert guess(guessing, "198.51.100.99") == 429
    assert guess(people.admin, "198.51.100.99") == 401
    assert [guess(people.admin, "198.51.100.1") for _ in range(11)] == [401] * 10 + [429]
    assert people.admin.get("/jobs", headers={"x-forwarded-for": "198.51.100.1"}).status_code == 200


@pytest.mark.parametrize("flags", [["--host", "0.0.0.0"], ["--trusted-proxies", "127.0.0.1"]])
def test_without_any_key_a_server_that_others_reach_does_not_start(tmp_path: Path, flags: list[str]) -> None:
    refused = ecurie(tmp_path / "data", "serve", "--demo", *flags)
    assert refused.returncode == 3
    assert "ecurie keys create" in refused.stderr
