"""`ecurie prompt`: what a prompt becomes, without drawing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ecurie.cli import flags
from ecurie.cli.generate import checked_body, parse_lora

if TYPE_CHECKING:
    from ecurie.requests.preview import Preview, PromptPreview

NAMES = {"text_encoder": "CLIP-L", "text_encoder_2": "CLIP-G"}


def prompt(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    negative_prompt: flags.NegativePrompt = None,
    model: flags.Model = None,
    lora: flags.Lora = None,
    seed: flags.Seed = None,
    clip_skip: flags.ClipSkip = None,
    prompt_syntax: flags.PromptSyntax = "auto",
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    as_json: flags.AsJson = False,
) -> None:
    """Show the tokens, weights, chunks and triggers of a prompt."""
    import dataclasses
    import json

    from ecurie.bootstrap import make_catalog
    from ecurie.requests.drawing import draw
    from ecurie.requests.preview import preview_of
    from ecurie.requests.resolve import resolve_for_cli
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog, demo=demo)
    body = checked_body(
        prompt=prompt,
        negative_prompt=negative_prompt,
        model=model,
        loras=[parse_lora(text) for text in lora or []],
        seed=seed,
        clip_skip=clip_skip,
        prompt_syntax=prompt_syntax,
    )
    entries = make_catalog(settings)
    drawn = draw(body, entries)
    found = preview_of(drawn.into(resolve_for_cli(drawn.body, entries, settings.max_pixels)))
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False))
    else:
        _show(found)


def _show(found: Preview) -> None:
    """Words are shown as letters: no markup of rich's."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for title, shown in (("prompt", found.prompt), ("negative prompt", found.negative_prompt)):
        console.print(Text(f"{title} ({shown.syntax}): {shown.text}"))
        if shown.template:
            console.print(Text(f"drawn with seed {found.seed} from: {shown.template}"))
        table = Table("encoder", "chunk", "tokens", "words")
        for row in _rows(shown):
            table.add_row(*map(Text, row))
        console.print(table)
    for trigger in found.triggers:
        console.print(Text(f"trigger added: {trigger.text} ({trigger.adapter}, {trigger.source})"))
    for one in found.embeddings:
        console.print(Text(f"embedding: {one.name}, {one.vectors} vectors ({one.adapter or one.sha256})"))


def _rows(shown: PromptPreview) -> Iterator[tuple[str, str, str, str]]:
    for part, encoded in shown.text_encoders.items():
        for number, chunk in enumerate(encoded.chunks):
            words = " ".join(
                token.text if token.weight == 1 else f"{token.text}×{token.weight:.4g}"
                for token in chunk.tokens
            )
            yield NAMES[part], str(number + 1), f"{len(chunk.tokens)} of 75", words or "(empty)"
