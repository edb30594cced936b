"""`ecurie keys`: who may use a server, told to its database; a server that runs notices within a second."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecurie.cli import flags

if TYPE_CHECKING:
    from ecurie.access.keys import ApiKey, NewKey
    from ecurie.domain import Allowance, Role

keys = typer.Typer(help="API keys: who may use a server, and how much of it.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="As `ecurie keys list` shows it.")]
MOST = 10**15
RequestsPerMinute = Annotated[
    int | None, typer.Option(min=0, max=MOST, help="Requests in any minute; 0: no limit.")
]
PixelsPerDay = Annotated[
    int | None, typer.Option(min=0, max=MOST, help="Pixels of images in any 24 hours; 0: no limit.")
]
QueuedJobs = Annotated[
    int | None, typer.Option(min=0, max=MOST, help="Jobs that wait at a time; 0: no limit.")
]


@keys.command()
def create(
    role: Annotated[str, typer.Option(help="user: its own jobs and images; admin: everybody's.")],
    name: Annotated[str, typer.Option(help="Whose it is, for you to read.")],
    requests_per_minute: RequestsPerMinute = None,
    pixels_per_day: PixelsPerDay = None,
    queued_jobs: QueuedJobs = None,
    data_dir: flags.DataDir = None,
) -> None:
    """Make a key and print it, this once, on standard output."""
    from ecurie.bootstrap import open_keys
    from ecurie.settings import load_settings

    wanted = _allowance(requests_per_minute, pixels_per_day, queued_jobs)
    with open_keys(load_settings(data_dir=data_dir)) as store:
        _show_secret(store.create(name, _role(role), wanted))


@keys.command("list")
def list_keys(data_dir: flags.DataDir = None, as_json: flags.AsJson = False) -> None:
    """Show all keys, the revoked ones too; never the keys themselves."""
    import json

    from ecurie.bootstrap import open_keys
    from ecurie.settings import load_settings

    with open_keys(load_settings(data_dir=data_dir)) as store:
        found = store.all()
    if as_json:
        print(json.dumps([_told(key) for key in found], indent=2, ensure_ascii=False))
    else:
        _show(found)


@keys.command()
def rotate(key_id: KeyId, data_dir: flags.DataDir = None) -> None:
    """Give a key another secret and print it, this once. Jobs and images stay its own; the old secret is
    refused within a second."""
    from ecurie.bootstrap import open_keys
    from ecurie.settings import load_settings

    with open_keys(load_settings(data_dir=data_dir)) as store:
        _show_secret(store.rotate(key_id))


@keys.command()
def revoke(key_id: KeyId, data_dir: flags.DataDir = None) -> None:
    """End a key for good; it is refused within a second. Its jobs and images stay, for admins."""
    from ecurie.bootstrap import open_keys
    from ecurie.settings import load_settings

    with open_keys(load_settings(data_dir=data_dir)) as store:
        print(f"the key {key_id} ({store.revoke(key_id).name}) is revoked")


@keys.command()
def remove(key_id: KeyId, data_dir: flags.DataDir = None) -> None:
    """Forget a revoked key. With the last one, a server on loopback needs no key any more."""
    from ecurie.bootstrap import open_keys
    from ecurie.settings import load_settings

    with open_keys(load_settings(data_dir=data_dir)) as store:
        store.remove(key_id)
        print(f"the key {key_id} is forgotten")
        if not store.all():
            print("there are no keys now: on loopback a server without ECURIE_API_KEY lets everybody in")


@keys.command()
def limit(
    key_id: KeyId,
    requests_per_minute: RequestsPerMinute = None,
    pixels_per_day: PixelsPerDay = None,
    queued_jobs: QueuedJobs = None,
    data_dir: flags.DataDir = None,
) -> None:
    """Change a key's limits; those that are left out stay."""
    from ecurie.bootstrap import open_keys
    from ecurie.settings import load_settings

    with open_keys(load_settings(data_dir=data_dir)) as store:
        before = store.get(key_id).allowance
        wanted = _allowance(requests_per_minute, pixels_per_day, queued_jobs, before)
        _show([store.limit(key_id, wanted)])


def _role(text: str) -> Role:
    """Raises InvalidRequest."""
    from ecurie.domain import Role
    from ecurie.errors import InvalidRequest

    try:
        return Role(text)
    except ValueError:
        raise InvalidRequest(f"--role: {text!r} is no role", remedy="use user or admin") from None


def _allowance(
    requests_per_minute: int | None,
    pixels_per_day: int | None,
    queued_jobs: int | None,
    before: Allowance | None = None,
) -> Allowance:
    """What is None stays as it was `before`; 0 is no limit."""
    from dataclasses import asdict

    from ecurie.domain import UNLIMITED, Allowance

    given = {
        "requests_per_minute": requests_per_minute,
        "pixels_per_day": pixels_per_day,
        "queued_jobs": queued_jobs,
    }
    changed = {name: most or None for name, most in given.items() if most is not None}
    return Allowance(**(asdict(before or UNLIMITED) | changed))


def _show_secret(new: NewKey) -> None:
    print(new.secret)
    key = new.key
    print(
        f"This is the key of {key.name} ({key.role}, id {key.id}). It is shown this once and not kept: "
        "store it now.",
        file=sys.stderr,
    )


def _told(key: ApiKey) -> dict[str, Any]:
    from dataclasses import asdict

    told: dict[str, Any] = asdict(key)
    for name in ("created_at", "revoked_at", "last_used_at"):
        told[name] = told[name] and told[name].isoformat(timespec="seconds")
    allowance: dict[str, Any] = told.pop("allowance")
    return told | allowance


def _show(found: list[ApiKey]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("id", "name", "role", "key", "state", "last used", "limits"):
        table.add_column(title, overflow="fold", no_wrap=title == "id")
    for key in found:
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "in use"
        used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
        table.add_row(
            key.id, Text(key.name), key.role.value, f"{key.prefix}…", state, used, _limits_text(key.allowance)
        )
    Console().print(table)


def _limits_text(allowance: Allowance) -> str:
    told = (
        (allowance.requests_per_minute, "requests a minute"),
        (allowance.pixels_per_day, "pixels a day"),
        (allowance.queued_jobs, "jobs waiting"),
    )
    return ", ".join(f"{most:,} {what}" for most, what in told if most is not None) or "none"
