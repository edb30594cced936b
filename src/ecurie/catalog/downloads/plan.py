"""What a source turns out to be once its publisher was asked: files with their addresses, and facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecurie.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file to get. `name` is for people, `place` where it is put.

    `bytes` and `sha256` are what the publisher says of it; None: not told. `token` is sent to the address
    itself, never on to where it redirects. `sign_in` says what to do when the file is refused without it.
    """

    name: str
    url: str
    place: Path
    bytes: int | None
    sha256: str | None
    token: str | None = None
    sign_in: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The files in the order in which they are to be got: what opens a folder comes last.

    `source` is the same source, pinned where that is possible. The rest is what the publisher tells of it,
    for a new catalogue entry; empty where it does not.
    """

    source: str
    place: Path
    files: tuple[RemoteFile, ...]
    name: str = ""
    license: str | None = None
    trigger_words: tuple[str, ...] = ()
    base: str = ""


def refuse_pickle(name: str, where: str) -> None:
    """Raises InvalidRequest for a file that is none of safetensors."""
    if not name.endswith(".safetensors"):
        raise InvalidRequest(
            f"{name} of {where} is not a .safetensors file",
            remedy="get it as .safetensors: pickled weights can run code when they are opened",
        )
