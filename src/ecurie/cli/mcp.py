"""`ecurie mcp`: the tools of an assistant, on standard input and output."""

from __future__ import annotations

import typer

from ecurie.cli import flags
from ecurie.cli.remote import key_of, url_of
from ecurie.errors import SettingsError

INTERRUPTED = 130


def mcp(url: flags.Url = None, data_dir: flags.DataDir = None) -> None:
    """Offer a running server to an assistant (Model Context Protocol); the assistant starts this itself."""
    from ecurie.client import AsyncClient
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir)
    try:
        from ecurie.mcp.server import make_server
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{error.name} is not installed", remedy="run: pip install 'ecurie[mcp]'"
        ) from error
    try:
        make_server(AsyncClient(url or url_of(settings), key_of(settings))).run("stdio")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
