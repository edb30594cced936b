"""`ecurie jobs`: the jobs of a server, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ecurie.cli import flags
from ecurie.cli.progress import amount, bytes_text, queue_text, seconds_since, span
from ecurie.cli.remote import client_of
from ecurie.cli.tables import plain

if TYPE_CHECKING:
    from ecurie.client.shapes import JobInfo

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

    with client_of(load_settings(data_dir=data_dir), url) as client:
        found = [job.info for job in client.jobs(limit=limit, state=state)]
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(found)


def _show(found: list[JobInfo]) -> None:
    from rich.console import Console
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from ecurie.client.following import progress_of

    table = Table(box=None, pad_edge=False)
    for title in ("job", "model", "age", "", "state"):
        table.add_column(title, overflow="fold", no_wrap=title == "job")
    for job in found:
        done, total = amount(progress_of(job))
        table.add_row(
            job["id"],
            Text(plain(job["request"]["model"])),
            span(seconds_since(job["created_at"])),
            ProgressBar(total=total or 1, completed=done, width=BAR_WIDTH),
            Text(plain(state_text(job))),
        )
    Console().print(table)


def state_text(job: JobInfo) -> str:
    """The state, and what one wants to know of a job in it."""
    from ecurie.client.following import progress_of

    state, progress, end = job["state"], progress_of(job), job["estimated_end"]
    if state == "queued":
        return queue_text(progress)
    if job["error"]:
        return f"{state}: {job['error']['message']}"
    if state == "succeeded" and job["started_at"] and job["finished_at"]:
        seconds = seconds_since(job["started_at"]) - seconds_since(job["finished_at"])
        return f"{state} in {span(seconds)}"
    if job["finished_at"]:
        return state
    done = bytes_text(progress) or (f"{progress.step}/{progress.total}" if progress.step else None)
    left = None if end is None else f"{span(-seconds_since(end))} left"
    return ", ".join(part for part in (progress.phase, done, left) if part)
