"""Every verb explains itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from ecurie.cli.app import app


def verbs(of: typer.Typer, *before: str) -> Iterator[tuple[str, ...]]:
    for command in of.registered_commands:
        assert command.callback
        yield (*before, command.name or command.callback.__name__)
    for group in of.registered_groups:
        assert group.typer_instance
        name = group.name or group.typer_instance.info.name
        yield from verbs(group.typer_instance, *before, str(name))


@pytest.mark.parametrize("verb", list(verbs(app)), ids=" ".join)
def test_a_verb_has_help(verb: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*verb, "--help"])
    assert shown.exit_code == 0, shown.output
    assert "Usage" in shown.output


def test_brackets_are_shown_as_they_are_written() -> None:
    shown = CliRunner().invoke(app, ["generate", "--help"]).output
    assert "WIDTHxHEIGHT in pixels [the model's]." in shown
