"""Tables of texts that come from strangers' files."""

from __future__ import annotations

from collections.abc import Iterable

Rows = list[tuple[str, str]]


def show_tables(sections: Iterable[tuple[str, Rows]]) -> None:
    """(title, rows) each. Texts are shown as letters: no markup, no control characters."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    for title, rows in sections:
        table = Table(title=Text(plain(title)), show_header=False, title_justify="left")
        for name, value in rows:
            table.add_row(Text(plain(name)), Text(plain(value), overflow="fold"))
        Console().print(table)


def plain(text: str) -> str:
    """Without what commands a terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "�" for sign in text)
