"""Adding an entry to a catalogue as a person would: as text, so that comments and layout stay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from ecurie.catalog.entries import CatalogFile
from ecurie.catalog.yaml_file import read_catalog
from ecurie.errors import CatalogError

STEP = 2
WIDE = 10**9


def add_entry(file: Path, sections: tuple[str, ...], entry_id: str, fields: Mapping[str, object]) -> None:
    """Write an entry into the first of `sections` that the file has, else into a new one of the first name.

    The new text is checked before it takes the file's place. Raises CatalogError, with the file as it was.
    """
    target = Path(os.path.realpath(file))
    before = read_catalog(target)
    text = target.read_bytes().decode()
    added = _with_entry(text.replace("\r\n", "\n"), sections, entry_id, fields)
    partial = target.with_name(f".{target.name}.partial")
    try:
        if added is not None:
            partial.write_text(added, encoding="utf-8", newline="\r\n" if "\r\n" in text else "\n")
        if added is None or not _is_all(before, _read_as(partial, target), sections[0], entry_id):
            raise CatalogError(
                f"{file} is laid out in a way that no entry can be added to",
                remedy=f"add it by hand under '{sections[0]}':\n{entry_text(entry_id, fields)}",
            )
        shutil.copymode(target, partial)
        partial.replace(target)
    except OSError as error:
        raise CatalogError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def entry_text(entry_id: str, fields: Mapping[str, object], column: int = STEP) -> str:
    """The entry as lines of a block, without an end of line."""
    lines = [f"{' ' * column}{_value(entry_id)}:"]
    lines += [f"{' ' * (column + STEP)}{name}: {_value(value)}" for name, value in fields.items()]
    return "\n".join(lines)


def _value(value: object) -> str:
    """On one line, quoted where need be."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=WIDE, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _read_as(partial: Path, target: Path) -> CatalogFile:
    try:
        return read_catalog(partial)
    except CatalogError as error:
        raise CatalogError(str(error).replace(str(partial), str(target)), remedy=error.remedy) from error


def _is_all(before: CatalogFile, after: CatalogFile, section: str, entry_id: str) -> bool:
    """Whether exactly the new entry came to what was there."""
    models, adapters = dict(after.models), dict(after.adapters)
    new = (models if section == "models" else adapters).pop(entry_id, None)
    return new is not None and (models, adapters, after.defaults) == (
        before.models,
        before.adapters,
        before.defaults,
    )


def _with_entry(
    text: str, sections: tuple[str, ...], entry_id: str, fields: Mapping[str, object]
) -> str | None:
    """None for a layout that is not understood."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    there = {key.value: (key, value) for key, value in root.value}
    name = next((section for section in sections if section in there), None)
    if name is None:
        return f"{text.rstrip()}\n\n{sections[0]}:\n{entry_text(entry_id, fields)}\n"
    key, section = there[name]
    if isinstance(section, yaml.ScalarNode):
        return _into_nothing(text, key, section, entry_text(entry_id, fields))
    return _into_mapping(text, section, entry_id, fields)


def _into_nothing(text: str, key: yaml.Node, section: yaml.ScalarNode, entry: str) -> str:
    """`adapters:` with nothing, or with null spelt out."""
    start, end = section.start_mark.index, section.end_mark.index
    emptied = text[:start].rstrip(" ") + text[end:] if end > start else text
    return _after_line(emptied, key.end_mark.index, entry)


def _into_mapping(text: str, section: yaml.Node, entry_id: str, fields: Mapping[str, object]) -> str | None:
    if not isinstance(section, yaml.MappingNode):
        return None
    last = _end(section.value[-1][1]) if section.value else section.start_mark.index + 1
    if section.flow_style:
        flow = _value({entry_id: dict(fields)})[1:-1]
        return _at(text, last, f", {flow}" if section.value else flow)
    return _after_line(text, last, entry_text(entry_id, fields, section.value[0][0].start_mark.column))


def _end(node: yaml.Node) -> int:
    """Where a node's own text ends: a block's end mark is where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _at(text: str, index: int, new: str) -> str:
    return text[:index] + new + text[index:]


def _after_line(text: str, index: int, new: str) -> str:
    """After the line that `index` stands in or has just ended."""
    if index and text[index - 1] == "\n":
        return _at(text, index, f"{new}\n")
    end = text.find("\n", index)
    return f"{text}\n{new}\n" if end < 0 else _at(text, end, f"\n{new}")
