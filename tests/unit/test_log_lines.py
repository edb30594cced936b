"""What a stranger wrote cannot forge a record or command a terminal."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from ecurie.bootstrap import configure_logging
from ecurie.cli.tables import plain
from ecurie.log_lines import Lines

FORGED = "2026-11-26 12:00:00,000 ERROR   ecurie: all is lost"
HOSTILE = [
    f"x\r\n{FORGED}",
    "x\x1b[2J\x1b]0;title\x07",
    f"x\u2028{FORGED}",
    f"x\x85{FORGED}",
    "x\u202edesrever",
    "\0",
]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    logger = logging.getLogger("ecurie.test")
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.parametrize("text", HOSTILE)
def test_a_record_is_one_line_whatever_it_tells(written: io.StringIO, text: str) -> None:
    logging.getLogger("ecurie.test").warning("the name is %s", text)
    (line,) = written.getvalue().splitlines()
    assert line.isprintable()
    assert "the name is" in line


@pytest.mark.parametrize("text", HOSTILE)
def test_a_traceback_s_lines_are_indented(written: io.StringIO, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("ecurie.test").exception("unexpected")
    first, *more = written.getvalue().splitlines()
    assert first.endswith("unexpected")
    assert more
    for line in more:
        assert line.startswith("  ")
        assert line.isprintable()


def test_ordinary_text_stays_as_it_is(written: io.StringIO) -> None:
    logging.getLogger("ecurie.test").warning("café, 中文 and 😀")
    assert written.getvalue().endswith("WARNING ecurie.test: café, 中文 and 😀\n")


def test_this_is_how_the_server_and_its_workers_log(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    try:
        configure_logging("info")
        logging.getLogger("uvicorn.error").warning("a\nb")
        assert capsys.readouterr().err.rstrip("\n").endswith(r"a\nb")
    finally:
        logging.getLogger().handlers[:] = before


@pytest.mark.parametrize("text", HOSTILE)
def test_the_command_line_shows_no_commands_of_terminals(text: str) -> None:
    assert all(sign.isprintable() or sign == "\n" for sign in plain(text))
