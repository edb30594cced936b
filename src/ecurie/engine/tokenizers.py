"""CLIP's tokenizers: one for all models whose files of it are alike, as building one takes 50 ms."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path

from transformers import CLIPTokenizer

from ecurie.errors import WeightsInvalid

KEPT = 4
_built: OrderedDict[bytes, CLIPTokenizer] = OrderedDict()


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer of a folder in diffusers' layout, which nobody may change. Raises WeightsInvalid."""
    try:
        digest = _digest(folder)
        if digest not in _built:
            _built[digest] = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        # The tokenizers package has no error class of its own.
        raise WeightsInvalid(f"{folder} has no usable tokenizer: {error}") from error
    _built.move_to_end(digest)
    while len(_built) > KEPT:
        _built.popitem(last=False)
    return _built[digest]


def _digest(folder: Path) -> bytes:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return digest.digest()
