"""Wildcards in prompts: `{a|b|c}` draws one of several texts, `__name__` a line of a file.

`{2::a|b}` draws a twice as often as b. Both nest, and a line of a file may hold either. `\\{`, `\\}`, `\\|`
and `\\__` are letters. Only what is drawn is looked at further, so files may name many others.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from pathlib import Path

from ecurie.errors import InvalidRequest

MOST_DRAWS = 500
DEEPEST = 30
LONGEST_TEXT = 10_000
LARGEST_FILE = 1_000_000
SHOWN_NAMES = 20
SUFFIX = ".txt"
NAME = r"[^\W_](?:(?!__)[\w./-])*"
TOKEN = re.compile(rf"\\(?:[{{}}|]|__)|[{{}}|]|(?<![\w])__({NAME})__(?!\w)")
PLAIN = "\\{ and \\} are plain brackets"
SHARE = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)::")
HAS_ANY = re.compile(rf"[{{}}]|__{NAME}__|\\__")


class Wildcards:
    """The draws of one text: the same for the same text, files and seed."""

    def __init__(self, folder: Path | None, seed: str):
        self._folder, self._chance = folder, random.Random(seed)
        self._draws = 0

    def draw(self, text: str) -> str:
        """The text with every wildcard drawn and the escapes of letters taken away.

        Raises InvalidRequest for a wildcard that is not closed, has no file, or never ends.
        """
        if not HAS_ANY.search(text):
            return text
        return self._draw(text, ())

    def _draw(self, text: str, within: tuple[str, ...]) -> str:
        if len(within) > DEEPEST:
            raise InvalidRequest(f"its wildcards are nested more than {DEEPEST} deep")
        drawn = "".join(self._pieces(text, within))
        if len(drawn) > LONGEST_TEXT:
            raise InvalidRequest(f"drawn, its wildcards make more than {LONGEST_TEXT:,} characters")
        return drawn

    def _pieces(self, text: str, within: tuple[str, ...]) -> Iterator[str]:
        position = 0
        while (token := TOKEN.search(text, position)) is not None:
            yield text[position : token.start()]
            position = token.end()
            mark = token[0]
            if mark.startswith("\\"):
                yield mark[1:]
            elif token[1] is not None:
                yield self._line(token[1], within)
            elif mark == "{":
                options, position = _options(text, token.start())
                yield self._draw(self._choose(options), (*within, "{}"))
            elif mark == "}":
                raise InvalidRequest(
                    f"the '}}' at character {token.start() + 1} closes nothing", remedy=PLAIN
                )
            else:
                yield mark
        yield text[position:]

    def _choose(self, options: list[str]) -> str:
        self._draws += 1
        if self._draws > MOST_DRAWS:
            raise InvalidRequest(f"more than {MOST_DRAWS} wildcards would be drawn")
        shares, texts = zip(*map(_share, options), strict=True)
        if sum(shares) <= 0 or not math.isfinite(sum(shares)):
            raise InvalidRequest(f"the shares of {{{'|'.join(options)[:60]}}} add up to nothing")
        point = self._chance.random() * sum(shares)
        for share, text in zip(shares, texts, strict=True):
            point -= share
            if point < 0:
                return str(text)
        return str(texts[-1])

    def _line(self, name: str, within: tuple[str, ...]) -> str:
        if name in within:
            raise InvalidRequest(
                f"the wildcard __{name}__ names itself: {' → '.join([*within[within.index(name) :], name])}"
            )
        return self._draw(self._choose(_lines(self._folder, name)), (*within, name)).strip()


def _options(text: str, start: int) -> tuple[list[str], int]:
    """What stands between the bars of the bracket at `start`, and where it ends."""
    depth, position, begin = 0, start, start + 1
    options = []
    while (token := TOKEN.search(text, position)) is not None:
        mark, position = token[0], token.end()
        depth += (mark == "{") - (mark == "}")
        if (mark == "|" and depth == 1) or depth == 0:
            options.append(text[begin : token.start()])
            begin = position
        if depth == 0:
            return options, position
    raise InvalidRequest(f"the '{{' at character {start + 1} is never closed", remedy=PLAIN)


def _share(option: str) -> tuple[float, str]:
    match = SHARE.match(option)
    return (float(match[1]), option[match.end() :]) if match else (1.0, option)


def names_of(folder: Path | None) -> list[str]:
    """The wildcards that there are, with their sub-folders: `style/colour`."""
    if folder is None:
        return []
    files = (file.relative_to(folder) for file in folder.rglob(f"*{SUFFIX}"))
    return sorted(str(file.with_suffix("").as_posix()) for file in files)


def _lines(folder: Path | None, name: str) -> list[str]:
    file = _file(folder, name)
    try:
        if file is None or not file.is_file():
            known = names_of(folder)
            more = f" and {len(known) - SHOWN_NAMES} more" if len(known) > SHOWN_NAMES else ""
            raise InvalidRequest(
                f"there is no wildcard '{name}'",
                remedy=f"use one of: {', '.join(known[:SHOWN_NAMES])}{more}"
                if known
                else f"put its options, one a line, into wildcards/{name}{SUFFIX} in the data folder",
            )
        if file.stat().st_size > LARGEST_FILE:
            raise InvalidRequest(f"the wildcard '{name}' has more than {LARGEST_FILE:,} bytes")
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the wildcard '{name}' cannot be read: {error}") from None
    options = [line for line in lines if line and not line.startswith("#")]
    if not options:
        raise InvalidRequest(f"the wildcard '{name}' has no options", remedy="write one a line")
    return options


def _file(folder: Path | None, name: str) -> Path | None:
    """None for a name that leads out of the folder, by `..` or by a link."""
    if folder is None or any(part in ("", ".", "..") for part in name.split("/")):
        return None
    file = (folder / f"{name}{SUFFIX}").resolve()
    return file if file.is_relative_to(folder.resolve()) else None
