"""Records: one line each, about what they are about, and without prompts."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from ecurie.logs import Json, LogFormat, Text, about, in_this_context

SECRET = "a castle\nmade of 'glass'"
FORMATTERS: dict[LogFormat, Callable[[dict[str, str]], logging.Formatter]] = {"text": Text, "json": Json}


@pytest.fixture(params=["text", "json"])
def form(request: pytest.FixtureRequest) -> LogFormat:
    chosen: LogFormat = request.param
    return chosen


@pytest.fixture
def written(form: LogFormat) -> Iterator[io.StringIO]:
    log, stream = logging.getLogger("tests.records"), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMATTERS[form]({"worker": "w1"}))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield stream
    log.removeHandler(handler)


log = logging.getLogger("tests.records")


def raise_with(message: str) -> None:
    try:
        raise ValueError(message)
    except ValueError:
        log.exception("unexpected")


@pytest.mark.parametrize(
    "text", ["a\nINFO forged", "a\r\nb", "\x1b[2J\x1b]0;title\x07", "a\u2028b\u202ec", "\0"]
)
def test_what_strangers_write_begins_no_record_and_commands_no_terminal(
    written: io.StringIO, form: LogFormat, text: str
) -> None:
    log.info("name %s", text)
    raise_with(text)
    lines = written.getvalue().splitlines()
    assert "".join(lines).isprintable()
    if form == "json":
        first, second = map(json.loads, lines)
        assert first["message"] == f"name {text}"
        assert text in second["exception"]
    else:
        assert [line for line in lines if not line.startswith("  ")] == [lines[0], lines[1]]


def test_records_carry_what_they_are_about_in_threads_too(written: io.StringIO, form: LogFormat) -> None:
    with about(job="j1", model="m1"):
        thread = threading.Thread(target=in_this_context(lambda: log.info("job j1: step")))
        thread.start()
        thread.join()
        with about(model="m2"):
            log.info("inner")
    log.info("after")
    lines = written.getvalue().splitlines()
    if form == "json":
        fields = [{key: json.loads(line).get(key) for key in ("job", "model", "worker")} for line in lines]
        assert fields == [
            {"job": "j1", "model": "m1", "worker": "w1"},
            {"job": "j1", "model": "m2", "worker": "w1"},
            {"job": None, "model": None, "worker": "w1"},
        ]
    else:
        assert lines[0].endswith("job j1: step [worker=w1 model=m1]")
        assert lines[1].endswith("inner [worker=w1 job=j1 model=m2]")
        assert lines[2].endswith("after [worker=w1]")


def test_a_prompt_is_shown_neither_in_a_message_nor_in_a_traceback(written: io.StringIO) -> None:
    with about(hidden=(SECRET, "a castle", "ok", "")):
        log.info("cannot draw %s, nor %r", SECRET, SECRET)
        raise_with(f"bad token in {SECRET!r}, ok?")
        raise_with(SECRET)
    shown = written.getvalue()
    assert "glass" not in shown
    assert "castle" not in shown
    assert shown.count("[prompt]") >= 4
    assert "ok?" in shown


def test_json_records_have_time_level_and_logger(written: io.StringIO, form: LogFormat) -> None:
    log.warning("été")
    if form == "json":
        told = json.loads(written.getvalue())
        assert (told["level"], told["logger"], told["message"]) == ("warning", "tests.records", "été")
        assert told["time"].endswith("+00:00")
    else:
        assert "WARNING tests.records: été" in written.getvalue()
