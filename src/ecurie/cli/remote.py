"""Asking a server that runs, on this machine or another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecurie.client import Client
    from ecurie.settings import Settings

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def url_of(settings: Settings) -> str:
    """Of the server that these settings would start."""
    host = ANY_ADDRESS.get(settings.host, settings.host)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{settings.port}"


def key_of(settings: Settings) -> str | None:
    return None if settings.api_key is None else settings.api_key.get_secret_value()


def client_of(settings: Settings, url: str | None) -> Client:
    """Of the server at `url`, or of the one that these settings would start."""
    from ecurie.client import Client

    return Client(url or url_of(settings), key_of(settings))
