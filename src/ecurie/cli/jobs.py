"""`ecurie jobs`: the jobs of a server, as a table."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ecurie.cli import flags
from ecurie.cli.progress import amount, bytes_text, queue_text, seconds_since, span
from ecurie.cli.remote import remote_of
from ecurie.cli.tables import plain

BAR_WIDTH = 8


def jobs(
    state: Annotated[str | None, typer.Option(help="Only queued, running, succeeded, …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, the newest first.")] = 20,
    url: flags.Url = None,
    data_dir: flags.DataDir = None,
    as_json: flags.AsJson = False,
) -> None:
    """Show the jobs of a running server, the newest first."""
    import json

    from ecurie.settings import load_settings

    remote = remote_of(load_settings(data_dir=data_dir), url)
    found = remote.get("/jobs", state=state, limit=limit)["jobs"]
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(found)


def _show(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("job", "model", "age", "", "state"):
        table.add_column(title, overflow="fold", no_wrap=title == "job")
    for job in found:
        done, total = amount(job["progress"])
        table.add_row(
            job["id"],
            Text(plain(job["request"]["model"])),
            span(seconds_since(job["created_at"])),
            ProgressBar(total=total or 1, completed=done, width=BAR_WIDTH),
            Text(plain(state_text(job))),
        )
    Console().print(table)


def state_text(job: dict[str, Any]) -> str:
    """The state, and what one wants to know of a job in it."""
    state, progress, end = job["state"], job["progress"], job["estimated_end"]
    if state == "queued":
        return queue_text(job["queue_position"], job["estimated_start"])
    if job["error"]:
        return f"{state}: {job['error']['message']}"
    if job["result"]:
        seconds = seconds_since(job["started_at"]) - seconds_since(job["finished_at"])
        return f"{state} in {span(seconds)}"
    if job["finished_at"]:
        return str(state)
    done = bytes_text(progress) or (f"{progress['step']}/{progress['total']}" if progress["step"] else None)
    left = None if end is None else f"{span(-seconds_since(end))} left"
    return ", ".join(part for part in (progress["phase"], done, left) if part)
