"""`ecurie show`: how an image was made, as it tells itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecurie.cli import flags
from ecurie.cli.tables import Rows, show_tables

if TYPE_CHECKING:
    from ecurie.images.manifest import Manifest
    from ecurie.images.reading import ImageText

# Told in rows of their own.
TOLD = frozenset({"prompt", "final_prompt", "tagged_prompt", "negative_prompt", "model", "adapters"})


def show(
    file: Annotated[Path, typer.Argument(help="A PNG, WebP or JPEG image.")],
    as_json: flags.AsJson = False,
) -> None:
    """Show how an image was made: an image of Écurie, or of A1111 and its kin."""
    import json

    from ecurie.images.infotext_reading import read_infotext
    from ecurie.images.manifest import read_manifest
    from ecurie.images.reading import read_image_file, read_text

    text = read_text(read_image_file(file))
    if text.manifest is not None:
        manifest = read_manifest(text.manifest)
        if as_json:
            print(manifest.to_json())
        else:
            show_tables(_sections(file, text, manifest))
    elif text.parameters is not None:
        found = read_infotext(text.parameters)
        if as_json:
            # ASCII alone: the text may hold halves of surrogate pairs.
            prompts = {"prompt": found.prompt, "negative_prompt": found.negative_prompt}
            print(json.dumps(prompts | {"settings": found.settings}, indent=2))
        else:
            prompts = {"prompt": found.prompt, "negative prompt": found.negative_prompt}
            show_tables([(_title(file, text, "A1111's parameters"), [*(prompts | found.settings).items()])])
    elif as_json:
        print("null")
    else:
        print(f"{file} does not tell how it was made")


def _title(file: Path, text: ImageText, what: str) -> str:
    return f"{file}: {text.format}, {text.width}x{text.height}, {what}"


def _sections(file: Path, text: ImageText, manifest: Manifest) -> Iterator[tuple[str, Rows]]:
    request, setup = manifest.request, manifest.setup
    words = {
        "prompt": request.get("prompt"),
        "final prompt": request.get("final_prompt"),
        "negative prompt": request.get("negative_prompt"),
        "model": request.get("model"),
    }
    yield (
        _title(file, text, f"manifest {manifest.manifest_version}"),
        [(name, str(value)) for name, value in words.items()],
    )
    if adapters := request.get("adapters"):
        yield "adapters", [_adapter_row(use) for use in adapters if isinstance(use, dict)]
    yield "settings", [(name, _text(value)) for name, value in request.items() if name not in TOLD]
    yield "model's files", [(one.part, f"{one.name}\nSHA-256 {one.sha256}") for one in setup.files]
    made_by = {"device": setup.device, "dtype": setup.dtype, "scheduler": setup.scheduler}
    yield "made by", [*(made_by | {"memory step": setup.memory_step} | setup.versions).items()]


def _adapter_row(use: dict[str, Any]) -> tuple[str, str]:
    weights = f"unet {use.get('unet')}, text encoders {use.get('text_encoder')}"
    blocks = use.get("blocks")
    shown = [weights, *([f"blocks {_text(blocks)}"] if blocks else []), f"SHA-256 {use.get('sha256')}"]
    return str(use.get("name")), "\n".join(shown)


def _text(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
