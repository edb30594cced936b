"""`/sdapi/v1/options`: each client's own."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ecurie.api.a1111.options import client_of
from ecurie.api.app import create_app
from ecurie.domain import Caller, Role
from ecurie.jobs.claims import Claim
from ecurie.jobs.forecasts import Forecasts
from ecurie.service import Service

PATH = "/sdapi/v1/options"


def basic(user: str, password: str = "x") -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def options(client: TestClient, **headers: Any) -> dict[str, Any]:
    answer = client.get(PATH, **headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def drawn_with(client: TestClient, painted: list[Claim], **sent: Any) -> Any:
    """The request that the worker got."""
    body = {"prompt": "red apple", "steps": 2, **sent.pop("json", {})}
    answer = client.post("/sdapi/v1/txt2img", json=body, **sent)
    assert answer.status_code == 200, answer.text
    return painted[-1].job.request


def test_what_one_client_chooses_another_does_not_see(client: TestClient, painter: list[Claim]) -> None:
    alice, bob = {"headers": basic("alice")}, {"headers": basic("bob")}
    before = options(client, **bob)
    chosen = {"CLIP_stop_at_last_layers": 3, "samples_format": "webp", "jpeg_quality": 70}
    assert client.post(PATH, json={"sd_model_checkpoint": "pony", **chosen}, **alice).json() is None
    assert options(client, **bob) == before == options(client)
    hers = options(client, **alice)
    assert hers["sd_model_checkpoint"].startswith("pony.safetensors")
    assert hers.items() >= chosen.items()
    mine, theirs = (drawn_with(client, painter, **who) for who in (alice, bob))
    assert (mine.model, mine.clip_skip, mine.format, mine.quality) == ("pony", 3, "webp", 70)
    assert (theirs.model, theirs.clip_skip, theirs.format) == ("base", 1, "png")


def test_keys_have_options_of_their_own(service: Service, tmp_path: Path) -> None:
    """The user name that a program sends tells programs of one key apart; no secret is kept."""
    app = create_app(
        service, lambda: False, Forecasts(service.store.database, list, 60),
        allowed_hosts=(), allowed_origins=(), api_key=None, max_body_bytes=1000, max_upload_bytes=1000,
    )  # fmt: skip

    def named(owner: str, headers: dict[str, str]) -> Any:
        request = TestClient(app).build_request("GET", PATH, headers=headers)
        return client_of(request, Caller(owner, Role.USER))  # type: ignore[arg-type]

    assert named("one", {}) != named("two", {})
    assert named("one", basic("st")) not in (named("one", {}), named("two", basic("st")))
    assert named("one", basic("", "secret")) == named("one", {"authorization": "Basic "}) == named("one", {})
    assert named("one", {"authorization": "Basic ???"}) == named("one", {"authorization": "Bearer x"})
    assert "secret-key" not in str(named("one", basic("secret-key")))


def test_an_override_wins_and_is_forgotten(client: TestClient, painter: list[Claim]) -> None:
    client.post(PATH, json={"sd_model_checkpoint": "pony"})
    override = {"sd_model_checkpoint": "base.safetensors", "CLIP_stop_at_last_layers": 3}
    request = drawn_with(client, painter, json={"override_settings": override})
    assert (request.model, request.clip_skip) == ("base", 3)
    assert drawn_with(client, painter).model == "pony"
    kept = {"override_settings": override, "override_settings_restore_afterwards": False}
    drawn_with(client, painter, json=kept)
    request = drawn_with(client, painter)
    assert (request.model, request.clip_skip) == ("base", 3)


def test_a_client_that_sends_back_all_it_read_chooses_only_what_it_changed(
    client: TestClient, painter: list[Claim]
) -> None:
    """So the first model's clip skip does not stand in the way of the other's."""
    read = options(client)
    assert read["CLIP_stop_at_last_layers"] == 1
    client.post(PATH, json={**read, "sd_model_checkpoint": "pony", "live_previews_enable": True})
    assert options(client)["CLIP_stop_at_last_layers"] == 2
    request = drawn_with(client, painter)
    assert (request.model, request.clip_skip) == ("pony", 2)


def test_null_is_the_catalogue_s_choice_again(client: TestClient) -> None:
    before = options(client)
    client.post(PATH, json={"sd_model_checkpoint": "pony", "jpeg_quality": 50})
    client.post(PATH, json={"sd_model_checkpoint": "", "jpeg_quality": None, "samples_format": None})
    assert options(client) == before


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ({"sd_model_checkpoint": "nope"}, 404, "use one of: base.safetensors"),
        ({"sd_vae": "kl-f8.safetensors"}, 422, "each model has its own VAE"),
        ({"samples_format": "gif"}, 422, "none of png, jpg, jpeg, webp"),
        ({"CLIP_stop_at_last_layers": 0}, 422, "CLIP_stop_at_last_layers: "),
        ({"sd_model_checkpoint": ["x"]}, 422, "sd_model_checkpoint: "),
        ({"sd_model_checkpoint": "\ud800"}, 422, "sd_model_checkpoint: "),
    ],
)
def test_what_cannot_be_chosen_is_refused_whole(
    sent: dict[str, Any], status: int, message: str, client: TestClient
) -> None:
    before = options(client)
    content = json.dumps({"jpeg_quality": 5, **sent})
    answer = client.post(PATH, content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, set(answer.json())) == (status, {"error", "detail", "body", "errors"})
    assert message in answer.json()["detail"]
    assert options(client) == before


def test_a_chosen_model_that_is_gone_is_an_error_not_another_model(
    client: TestClient, service: Service, tmp_path: Path
) -> None:
    client.post(PATH, json={"sd_model_checkpoint": "pony"})
    file = tmp_path / "ecurie.yaml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "pony:" not in line))
    assert options(client)["sd_model_checkpoint"] == "pony.safetensors"
    answer = client.post("/sdapi/v1/txt2img", json={"prompt": "x"})
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown-model")
