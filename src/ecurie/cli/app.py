"""The `ecurie` command: verbs are imported here, what they need only when they run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import ecurie
from ecurie.cli import (
    add,
    cancel,
    doctor,
    generate,
    inspect,
    jobs,
    keys,
    mcp,
    models,
    prompt,
    pull,
    replay,
    serve,
    show,
    sweep,
    verify,
    watch,
    worker,
)
from ecurie.cli.tables import plain
from ecurie.errors import EcurieError, JobError, RequestError, ServiceError, SetupError

EXIT_CODES: dict[type[EcurieError], int] = {RequestError: 2, SetupError: 3, ServiceError: 4, JobError: 5}

app = typer.Typer(
    name="ecurie",
    help="Generate images with SDXL checkpoints and adapter stacks: here, or as a server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(generate.generate)
app.command()(sweep.sweep)
app.command()(serve.serve)
app.command()(jobs.jobs)
app.command()(watch.watch)
app.command()(cancel.cancel)
app.command()(worker.worker)
app.add_typer(keys.keys, name="keys")
app.command()(mcp.mcp)
app.command()(models.models)
app.command()(inspect.inspect)
app.command()(prompt.prompt)
app.command()(pull.pull)
app.command()(add.add)
app.command()(doctor.doctor)
app.command()(verify.verify)
app.command()(show.show)
app.command()(replay.replay)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ecurie {ecurie.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a verb; an error of ours becomes two lines on standard error and an exit code."""
    try:
        app()
    except EcurieError as error:
        print(f"ecurie: {plain(str(error))}", file=sys.stderr)
        if error.remedy:
            print(f"        {plain(error.remedy)}", file=sys.stderr)
        sys.exit(next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))
