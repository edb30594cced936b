"""`ecurie replay`: an image made again here, and compared."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecurie.cli import flags
from ecurie.cli.generate import run_here

if TYPE_CHECKING:
    from ecurie.domain import PictureUse, Replay


def replay(
    file: Annotated[Path, typer.Argument(help="An image of Écurie, or a manifest as JSON.")],
    output: Annotated[
        Path | None, typer.Option(help="File to write, of the same format [named by model and time].")
    ] = None,
    picture: Annotated[
        list[Path] | None, typer.Option(help="A picture that was used, where no server keeps it; repeatable.")
    ] = None,
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    device: flags.Device = None,
    as_json: flags.AsJson = False,
) -> None:
    """Make an image again from what it tells of itself, and say how the two differ."""
    from ecurie.bootstrap import make_catalog, make_pictures
    from ecurie.images.incoming import read_here
    from ecurie.images.reading import read_image_file
    from ecurie.requests.finding import find_picture
    from ecurie.requests.pictures import picture_at
    from ecurie.requests.replaying import is_image, manifest_in
    from ecurie.requests.replaying import replay as request_again
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog, demo=demo, device=device)
    content = read_image_file(file)
    manifest, kept = manifest_in(content), make_pictures(settings)
    original = picture_at(str(file), "image", kept.limits) if is_image(content) else None
    uses = [picture_at(str(one), "picture", kept.limits) for one in picture or []]
    given = {use.sha256: use for use in uses}

    def read(use: PictureUse) -> bytes:
        """Those that were named by their paths are here, the others where a server keeps them."""
        return read_here(use) if Path(use.file).is_absolute() else kept.content(use)

    request = request_again(
        manifest,
        original,
        make_catalog(settings),
        lambda use: given.get(use.sha256) or find_picture(use, kept),
        settings.max_pixels,
        read,
        anywhere=True,
    )
    _refuse_bad_output(output, file, request.format)
    result, paths = run_here(settings, request, output, read)
    assert result.replay is not None
    if as_json:
        json.dump({"path": str(paths[0]), "replay": asdict(result.replay)}, sys.stdout, indent=2)
        print()
        return
    print(f"{paths[0]}: {verdict(result.replay)}")
    for one in result.replay.differing:
        print(f"  {one.what}: then {one.then}, now {one.now}")


def _refuse_bad_output(output: Path | None, original: Path, image_format: str) -> None:
    """The comparison needs the original, and its bytes its format. Raises InvalidRequest."""
    from ecurie.errors import InvalidRequest
    from ecurie.images.formats import format_of

    if output is None:
        return
    if output.absolute() == original.absolute():
        raise InvalidRequest("--output is the original's own file", field="output")
    if format_of(output) != image_format:
        raise InvalidRequest(f"--output {output}: the original's format is {image_format}", field="output")


def verdict(replay: Replay) -> str:
    if replay.identical_bytes:
        return "identical, byte for byte"
    if replay.identical_pixels:
        return "identical pixels, in a file that differs"
    if replay.identical_pixels is None:
        return "made; there is no image to compare it with"
    if replay.max_difference is None:
        return "of another size"
    return f"differs by up to {replay.max_difference} of 255, {replay.mean_difference:g} on average"
