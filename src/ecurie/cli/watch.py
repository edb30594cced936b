"""`ecurie watch`: follows a job of a server to its end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecurie.cli import flags
from ecurie.cli.progress import amount, bytes_text, queue_text
from ecurie.cli.remote import client_of
from ecurie.cli.tables import plain
from ecurie.errors import JobError, RequestError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from ecurie.client import Client, Job, Progress

FAILED, INTERRUPTED = 1, 130


def watch(
    job_id: Annotated[str | None, typer.Argument(help="A job's id [the newest job].")] = None,
    url: flags.Url = None,
    data_dir: flags.DataDir = None,
) -> None:
    """Follow a job of a running server to its end; Ctrl-C leaves the job alone. Exit code 0: it succeeded."""
    from ecurie.settings import load_settings

    with client_of(load_settings(data_dir=data_dir), url) as client:
        job = client.job(job_id) if job_id else _newest(client)
        try:
            _follow(job)
        except KeyboardInterrupt:
            print(f"job {job.id} goes on; `ecurie cancel {job.id}` stops it", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        try:
            images = job.result.images
        except JobError as error:
            print(f"ecurie: {plain(str(error))}", file=sys.stderr)
            if error.remedy:
                print(f"        {plain(error.remedy)}", file=sys.stderr)
            raise typer.Exit(FAILED) from None
        for image in images:
            print(f"{client.url}{image.url}  (seed {image.seed}, {image.width}x{image.height})")


def _newest(client: Client) -> Job:
    found = client.jobs(limit=1)
    if not found:
        raise RequestError(f"{client.url} has no jobs yet", remedy="send one with POST /generate")
    return found[0]


def _follow(job: Job) -> None:
    with _Display() as display:
        for progress in job.progress():
            display.show(progress)


class _Display:
    """A line with a bar on a terminal; elsewhere a line for each phase. On standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._console: Console = Console(stderr=True)
        words, shown = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[shown]}")
        columns = (words, BarColumn(), shown, TimeElapsedColumn())
        self._bar: Bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task: TaskID = self._bar.add_task("asking", total=None, shown="")
        self._said = ""

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        if progress.news == "lost":
            self._say("the server does not answer, trying again")
        elif progress.state == "queued":
            self._say(queue_text(progress))
        else:
            done, total = amount(progress)
            shown = bytes_text(progress) or f"{progress.step}/{progress.total}"
            self._say(progress.phase, completed=done, total=total, shown=shown)

    def _say(self, text: str, **bar: Any) -> None:
        """What happens now, and how the bar stands; without, it only says that something does."""
        self._bar.update(self._task, description=text, **(bar or {"total": None, "shown": ""}))
        if text != self._said and not self._console.is_terminal:
            self._console.print(text, markup=False, highlight=False)
        self._said = text
