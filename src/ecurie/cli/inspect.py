"""`ecurie inspect`: what a file is, what it was made for, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ecurie.cli import flags
from ecurie.cli.tables import Rows, show_tables

if TYPE_CHECKING:
    from ecurie.catalog.inspection import Inspected, InspectedAdapter, InspectedModel
    from ecurie.formats.inspection import AdapterContent, Inspection

SHOWN_CHARACTERS = 100


def inspect(
    target: Annotated[str, typer.Argument(help="A file, a diffusers folder, or an id of the catalogue.")],
    model: Annotated[
        str | None, typer.Option(help="Model to check an adapter against [the catalogue's default].")
    ] = None,
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    as_json: flags.AsJson = False,
) -> None:
    """Tell what an adapter or checkpoint is, from the file itself."""
    import json

    from ecurie.bootstrap import make_catalog
    from ecurie.catalog.inspection import inspect_anything
    from ecurie.logs import configure_logging
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog, demo=demo)
    # Hashing a large file for the first time takes a while: its log line says so.
    configure_logging(settings.log_level)
    found = inspect_anything(make_catalog(settings), target, model)
    if as_json:
        # Metadata may hold halves of surrogate pairs, which UTF-8 cannot write.
        print(json.dumps(asdict(found), indent=2))
        return
    show_tables(_sections(found))


def _shortened(text: str) -> str:
    short = (
        text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text):,} characters)"
    )
    return short.replace("\n", " ")


def _counted(counts: Mapping[str, int] | Mapping[int | str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items()) or "none"


def _sections(found: Inspected) -> list[tuple[str, Rows]]:
    from ecurie.catalog.inspection import InspectedAdapter, InspectedModel

    if isinstance(found, InspectedAdapter):
        return _adapter_sections(found)
    if isinstance(found, InspectedModel):
        return _model_sections(found)
    return [(found.file, _file_rows(found)), *_metadata_section(found)]


def _adapter_sections(found: InspectedAdapter) -> list[tuple[str, Rows]]:
    content = found.content
    check, fits = found.check, {True: "yes", False: "no", None: "not checked"}[found.check.fits]
    rows = [
        ("id", found.id),
        ("name", found.name),
        *_file_rows(content),
        ("default weight", f"{found.default_weight:g}"),
        ("lineage", f"{found.lineage.text} ({found.lineage.source})" if found.lineage else "not told"),
        ("trigger words", _triggers(found)),
        (f"fits {check.model}", f"{fits}: {check.reason}" if check.reason else fits),
        *([("what to do", check.remedy)] if check.remedy else []),
        *[("note", warning) for warning in found.warnings],
    ]
    sections = [(content.file, rows)]
    if content.adapter is not None:
        sections.append(("modules by part and block", _block_rows(content.adapter)))
    return [*sections, *_metadata_section(content)]


def _triggers(found: InspectedAdapter) -> str:
    if found.triggers.words:
        return f"{', '.join(found.triggers.words)} ({found.triggers.source})"
    candidates = found.content.about.candidates
    if not candidates:
        return "none known"
    listed = ", ".join(f"{candidate.text} {candidate.score:.2f}" for candidate in candidates)
    return f"none named; frequent in its captions ({candidates[0].source}, never added): {listed}"


def _file_rows(content: Inspection) -> Rows:
    identity, about = content.identity, content.about
    detail = f", {identity.detail}" if identity.detail else ""
    rows = [("kind", f"{identity.kind.value}{detail}")]
    rows.append(("made for", f"{identity.family} ({identity.why})" if identity.family else "not told"))
    if about.title:
        rows.append(("title", f"{about.title.text} ({about.title.source})"))
    rows += [("base", f"{base.text} ({base.source})") for base in about.bases]
    if identity.components or identity.missing:
        rows.append(("holds", ", ".join(identity.components)))
        rows.append(("lacks", ", ".join(identity.missing) or "nothing"))
    if content.adapter is not None:
        rows += _content_rows(content.adapter)
    return [
        *rows,
        ("tensors", f"{content.tensors:,} of {content.parameters:,} numbers, {_counted(content.dtypes)}"),
        ("size", f"{content.bytes:,} bytes"),
        ("SHA-256", content.sha256),
        ("AutoV2", content.auto_v2),
        ("AutoV3", content.auto_v3),
    ]


def _content_rows(adapter: AdapterContent) -> Rows:
    rows = [
        ("naming", adapter.naming),
        ("algorithms", _counted(adapter.algorithms)),
        ("ranks", _counted({rank or "none": count for rank, count in adapter.ranks.items()})),
        ("alphas", _counted(adapter.alphas)),
    ]
    if adapter.others:
        first = ", ".join(_shortened(key) for key in adapter.other_keys[:3])
        rows.append(("other keys", f"{adapter.others}: {first}"))
    return rows


def _block_rows(adapter: AdapterContent) -> Rows:
    return [
        (f"{part} ({sum(blocks.values())})", ", ".join(f"{name} {count}" for name, count in blocks.items()))
        for part, blocks in adapter.blocks.items()
    ]


def _metadata_section(content: Inspection) -> list[tuple[str, Rows]]:
    rows = [(_shortened(name), _shortened(text)) for name, text in sorted(content.metadata.items())]
    return [("metadata", rows)] if rows else []


def _model_sections(found: InspectedModel) -> list[tuple[str, Rows]]:
    width, height = found.size
    rows = [
        ("id", found.id),
        ("name", found.name),
        ("kind", f"a diffusers folder ({found.pipeline})"),
        ("size", f"{width}x{height} pixels"),
        ("lineage", found.lineage or "not told"),
    ]
    parts = [
        (f"{part}: {content.file}", _file_rows(content))
        for part, contents in found.components.items()
        for content in contents
    ]
    return [(found.folder, rows), *parts]
