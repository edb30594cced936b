"""Reading a catalogue file so that every mistake is reported with its line."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from ecurie.catalog.entries import ADAPTER_SECTIONS, CatalogFile
from ecurie.errors import CatalogError


def read_catalog(file: Path) -> CatalogFile:
    """Parse and check a catalogue.

    Raises CatalogError: `FILE, line N: what is wrong`.
    """
    try:
        text = file.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 1
        raise CatalogError(f"{file}, line {line}: {error.problem}") from error
    except RecursionError:
        raise CatalogError(f"{file} is nested too deeply") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogError(f"{file} cannot be read: {error}") from error
    if not isinstance(root, yaml.MappingNode) or not isinstance(data, dict):
        raise CatalogError(f"{file} is empty or not a mapping of 'defaults', 'models' and 'adapters'")
    _refuse_duplicates(file, root, set())
    _refuse_shared_adapters(file, root)
    try:
        content = CatalogFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        line = _line_of(root, first["loc"])
        reason = "unknown field" if first["type"] == "extra_forbidden" else first["msg"]
        reason = reason.removeprefix("Value error, ")
        raise CatalogError(
            f"{file}, line {line}: {where + ': ' if where else ''}{reason}",
            remedy="docs/catalogue.md lists every field",
        ) from error
    if content.defaults.model not in content.models:
        line = _line_of(root, ("defaults", "model"))
        raise CatalogError(
            f"{file}, line {line}: defaults.model names '{content.defaults.model}', which is no model"
        )
    return content


def _refuse_duplicates(file: Path, node: yaml.Node, looked_at: set[int]) -> None:
    """YAML keeps the last of two equal keys without a word: a lost model entry. A node that has an alias may
    stand in many places, in itself too."""
    if isinstance(node, yaml.MappingNode) and id(node) not in looked_at:
        looked_at.add(id(node))
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise CatalogError(f"{file}, line {key.start_mark.line + 1}: '{key.value}' is there twice")
            seen.add(key.value)
            _refuse_duplicates(file, value, looked_at)


def _refuse_shared_adapters(file: Path, root: yaml.MappingNode) -> None:
    seen = set()
    for section, content in root.value:
        if section.value in ADAPTER_SECTIONS and isinstance(content, yaml.MappingNode):
            for key, _ in content.value:
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise CatalogError(f"{file}, line {line}: adapter '{key.value}' is in two sections")
                seen.add(key.value)


def _line_of(root: yaml.Node, location: tuple[int | str, ...]) -> int:
    """The line (from 1) of the deepest node on the way to `location`."""
    nodes, line = [root], 1
    for part in location:
        names = ADAPTER_SECTIONS if part == "adapters" else (str(part),)
        mappings = (node for node in nodes if isinstance(node, yaml.MappingNode))
        found = [(key, value) for node in mappings for key, value in node.value if key.value in names]
        if not found:
            break
        line = found[0][0].start_mark.line + 1
        nodes = [value for _, value in found]
    return line
