from __future__ import annotations

import asyncio

import httpx2
import pytest

from ecurie.client import AsyncClient, Client, Unreachable
from ecurie.client.connecting import Server
from ecurie.client.plans import Ask


@pytest.mark.parametrize("url", ["http://localhost:1", "localhost:8009", "http://[no", "ftp://localhost"])
def test_where_nobody_answers_the_error_says_what_to_do(url: str) -> None:
    with pytest.raises(Unreachable, match="no Écurie answers at") as caught, Client(url) as client:
        client.models()
    assert "ecurie serve" in (caught.value.remedy or "")


def test_so_it_is_for_the_other_client() -> None:
    async def ask() -> None:
        async with AsyncClient("http://localhost:1") as client:
            await client.models()

    with pytest.raises(Unreachable, match="no Écurie answers at http://localhost:1"):
        asyncio.run(ask())


def test_the_key_goes_to_the_server_alone() -> None:
    server = Server("https://pictures.example/ecurie/", " secret\n", 15)
    assert server.options()["headers"] == {"Authorization": "Bearer secret"}
    with httpx2.Client(**server.options()) as client:
        sent = client.build_request(**server.request(Ask("GET", "/outputs/a.png?signature=1")))
    assert str(sent.url) == "https://pictures.example/ecurie/outputs/a.png?signature=1"
    with pytest.raises(Unreachable, match="a place that is not its own"):
        server.request(Ask("GET", "https://elsewhere.example/a.png"))


def test_the_key_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECURIE_API_KEY", "from-environment")
    assert Server("http://localhost", None, 15).options()["headers"] == {
        "Authorization": "Bearer from-environment"
    }
    assert Server("http://localhost", "given", 15).options()["headers"] == {"Authorization": "Bearer given"}
