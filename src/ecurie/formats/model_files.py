"""The files that a model's weights come from, by part, and their hashes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ecurie.domain import ModelFile
from ecurie.formats.checkpoint import Checkpoint
from ecurie.formats.hashes import sha256_of
from ecurie.formats.parts import COMPONENTS, Source


def files_by_part(checkpoint: Checkpoint) -> list[tuple[str, Path]]:
    """(part, file), in an order that does not depend on where the files are. A single file is there once for
    each part."""
    found = {
        (part, source.file)
        for part in COMPONENTS
        for tensor in checkpoint.parts.tensors[part].values()
        for source in _with_bias(tensor)
    }
    return sorted(found, key=lambda place: (place[0], place[1].name))


def _with_bias(source: Source) -> Iterator[Source]:
    yield source
    if source.bias is not None:
        yield source.bias


def model_files(checkpoint: Checkpoint) -> tuple[ModelFile, ...]:
    """Reads files whose hashes are not known yet: half a minute for 7 GB, once. Raises OSError."""
    return tuple(
        ModelFile(part, file.name, sha256_of(file), file.stat().st_size)
        for part, file in files_by_part(checkpoint)
    )


def configuration_sha256(checkpoint: Checkpoint) -> str:
    """64 hex digits for the configurations of the parts and the noise schedule, by content."""
    parts = checkpoint.parts
    content = json.dumps({**parts.configs, "scheduler": parts.scheduler_config}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def begin_hashing(checkpoint: Checkpoint) -> threading.Thread:
    """Hash the model's files on a thread, beside the drawing: `model_files` then waits for the rest only."""

    def read() -> None:
        # A file that cannot be read is told by whoever needs its hash.
        with suppress(OSError):
            model_files(checkpoint)

    thread = threading.Thread(target=read, name="hashing", daemon=True)
    thread.start()
    return thread
