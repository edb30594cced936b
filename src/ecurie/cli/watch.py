"""`ecurie watch`: follows a job of a server to its end."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecurie.cli import flags
from ecurie.cli.progress import amount, bytes_text, queue_text
from ecurie.cli.remote import Event, Remote, remote_of
from ecurie.cli.tables import plain
from ecurie.errors import RequestError, ServerUnreachable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

PATIENCE_SECONDS, PAUSE_SECONDS = 60.0, 0.5
ENDED = ("succeeded", "failed", "cancelled")
FAILED, INTERRUPTED = 1, 130


def watch(
    job_id: Annotated[str | None, typer.Argument(help="A job's id [the newest job].")] = None,
    url: flags.Url = None,
    data_dir: flags.DataDir = None,
) -> None:
    """Follow a job of a running server to its end; Ctrl-C leaves the job alone. Exit code 0: it succeeded."""
    from ecurie.settings import load_settings

    remote = remote_of(load_settings(data_dir=data_dir), url)
    job_id = job_id or _newest(remote)
    try:
        job = _follow(remote, job_id)
    except KeyboardInterrupt:
        print(f"job {job_id} goes on; `ecurie cancel {job_id}` stops it", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if job["state"] != "succeeded":
        error = job["error"] or {"message": f"job {job_id} was cancelled", "remedy": None}
        print(f"ecurie: {plain(error['message'])}", file=sys.stderr)
        if error["remedy"]:
            print(f"        {plain(error['remedy'])}", file=sys.stderr)
        raise typer.Exit(FAILED)
    for image in job["result"]["images"]:
        print(f"{remote.url}{image['url']}  (seed {image['seed']}, {image['width']}x{image['height']})")


def _newest(remote: Remote) -> str:
    found = remote.get("/jobs", limit=1)["jobs"]
    if not found:
        raise RequestError(f"{remote.url} has no jobs yet", remedy="send one with POST /generate")
    return str(found[0]["id"])


def _follow(remote: Remote, job_id: str) -> dict[str, Any]:
    """The ended job. A server that goes away is waited for, once it has answered."""
    lost_at: float | None = None
    met = False
    with _Display() as display:
        while True:
            try:
                for event in remote.events(f"/jobs/{job_id}/events"):
                    met, lost_at = True, None
                    display.show(event)
                    if event.name == "state" and event.data["state"] in ENDED:
                        return event.data
            except ServerUnreachable:
                lost_at = lost_at or time.monotonic()
                if not met or time.monotonic() - lost_at > PATIENCE_SECONDS:
                    raise
                display.say("the server does not answer, trying again")
            time.sleep(PAUSE_SECONDS)


class _Display:
    """A line with a bar on a terminal; elsewhere a line for each phase. On standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._console: Console = Console(stderr=True)
        words, shown = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[shown]}")
        columns = (words, BarColumn(), shown, TimeElapsedColumn())
        self._bar: Progress = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task: TaskID = self._bar.add_task("asking", total=None, shown="")
        self._said = ""

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        match event.name:
            case "queue":
                self.say(queue_text(event.data["position"], event.data["estimated_start"]))
            case "step" if event.data["phase"] != "queued":
                self._show_progress(event.data)
            case "state" if event.data["state"] in ENDED:
                self._show_progress(event.data["progress"])

    def _show_progress(self, progress: dict[str, Any]) -> None:
        done, total = amount(progress)
        shown = bytes_text(progress) or f"{progress['step']}/{progress['total']}"
        self.say(progress["phase"], completed=done, total=total, shown=shown)

    def say(self, text: str, **bar: Any) -> None:
        """What happens now, and how the bar stands; without, it only says that something does."""
        self._bar.update(self._task, description=text, **(bar or {"total": None, "shown": ""}))
        if text != self._said and not self._console.is_terminal:
            self._console.print(text, markup=False, highlight=False)
        self._said = text
