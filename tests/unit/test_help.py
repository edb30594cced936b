"""Every verb explains itself."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from ecurie.cli.app import app

VERBS = [command.callback.__name__ for command in app.registered_commands if command.callback]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_help(verb: str) -> None:
    shown = CliRunner().invoke(app, [verb, "--help"])
    assert shown.exit_code == 0, shown.exception
    assert "Usage" in shown.output


def test_brackets_are_shown_as_they_are_written() -> None:
    shown = CliRunner().invoke(app, ["generate", "--help"]).output
    assert "WIDTHxHEIGHT in pixels [the model's]." in shown
