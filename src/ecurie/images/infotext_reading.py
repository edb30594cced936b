"""Reads the `parameters` text of A1111 and of the tools that write it alike. Nothing in it is trusted."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from ecurie.images.infotext import NEGATIVE

LEAST_PAIRS = 3
KEY = re.compile(r"\s*(\w[\w /-]{0,60}):\s*")
QUOTED = re.compile(r'"(?:\\.|[^\\"])*"')
PLAIN = re.compile(r"[^,]*")
REST = re.compile(r"[^,]*,?")


@dataclass(frozen=True, slots=True)
class Infotext:
    prompt: str
    negative_prompt: str
    settings: dict[str, str] = field(default_factory=dict)


def read_infotext(text: str) -> Infotext:
    """The last line holds the settings if it has three pairs at least; a text without such a line is all
    prompt."""
    lines = text.strip().split("\n")
    settings = _pairs_of(lines[-1])
    if len(settings) < LEAST_PAIRS:
        settings = {}
    else:
        lines.pop()
    start = next((number for number, line in enumerate(lines) if line.startswith(NEGATIVE.rstrip())), None)
    if start is None:
        return Infotext("\n".join(lines).strip(), "", settings)
    negative = "\n".join(lines[start:]).removeprefix(NEGATIVE.rstrip())
    return Infotext("\n".join(lines[:start]).strip(), negative.strip(), settings)


def _pairs_of(line: str) -> dict[str, str]:
    """`key: value` with commas between; a value may be a JSON string, or a JSON object or list with commas of
    its own."""
    found: dict[str, str] = {}
    position = 0
    while position < len(line):
        key = KEY.match(line, position)
        if key is not None:
            found[key[1]], position = _value(line, key.end())
        # Up to the next comma: what follows a JSON value belongs to nothing.
        position = _after(REST, line, position)
    return found


def _value(line: str, start: int) -> tuple[str, int]:
    """The value that begins there, and where it ends."""
    if line.startswith(("{", "["), start):
        try:
            _, end = json.JSONDecoder().raw_decode(line, start)
        except (ValueError, RecursionError):
            pass
        else:
            return line[start:end], end
    if match := QUOTED.match(line, start):
        try:
            return str(json.loads(match[0])), match.end()
        except ValueError:
            return match[0], match.end()
    end = _after(PLAIN, line, start)
    return line[start:end].strip(), end


def _after(pattern: re.Pattern[str], line: str, position: int) -> int:
    match = pattern.match(line, position)
    return match.end() if match else position
