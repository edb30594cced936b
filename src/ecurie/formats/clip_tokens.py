"""CLIP's tokens of a prompt without torch: ids and chunks as the text encoders get them.

The tokenizer is the one that transformers' CLIPTokenizer sets up (byte-level BPE with `</w>` at the end of a
word); long texts are parted as compel does it (`SplitLongTextMode.SENTENCES`): at the last full stop that
fits, else at the last other stop, else after the last word, else anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from ecurie.errors import WeightsInvalid
from ecurie.formats.prompt_parts import Fragments

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
CHUNK = 75
"""Tokens of a chunk of 77, without its start and its end."""
WORDS = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
STOPS = ((".</w>",), (".</w>", ",</w>", ";</w>", ":</w>"))


@dataclass(frozen=True, slots=True)
class Token:
    """`id` is None for a vector of an embedding, whose name is the text then."""

    id: int | None
    text: str
    weight: float


Embedded = Callable[[str], tuple[str, int] | None]
"""The name and the number of vectors of the embedding that a character stands for."""


class ClipTokenizer:
    """Raises WeightsInvalid where the folder has no usable vocabulary."""

    def __init__(self, folder: Path):
        self._bpe = _read(folder)
        self._decoder = decoders.ByteLevel()

    def ids(self, text: str) -> list[int]:
        found: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
        return found

    def chunks(self, fragments: Fragments, embedded: Embedded = lambda _sign: None) -> list[list[Token]]:
        """At least one, maybe empty."""
        rest = [
            token
            for fragment in fragments
            for token in self._tokens(fragment.text, fragment.weight, embedded)
        ]
        chunks = []
        while len(rest) > CHUNK:
            cut = _cut([ending for _, ending in rest[:CHUNK]])
            chunks.append([token for token, _ in rest[:cut]])
            rest = rest[cut:]
        return [*chunks, [token for token, _ in rest]]

    def _tokens(self, text: str, weight: float, embedded: Embedded) -> Iterable[tuple[Token, str]]:
        """With each token its ending, where a text may be parted: never inside an embedding."""
        for piece in _pieces(text, embedded):
            if isinstance(piece, tuple):
                name, vectors = piece
                for number in range(vectors):
                    yield Token(None, name, weight), WORD_END if number == vectors - 1 else ""
            else:
                for token_id in self.ids(piece):
                    raw = self._bpe.id_to_token(token_id)
                    yield Token(token_id, self._readable(raw), weight), raw

    def _readable(self, raw: str) -> str:
        decoded: str = self._decoder.decode([raw.removesuffix(WORD_END)])
        return decoded


def _pieces(text: str, embedded: Embedded) -> Iterable[str | tuple[str, int]]:
    plain = ""
    for sign in text:
        found = embedded(sign)
        if found is None:
            plain += sign
            continue
        if plain:
            yield plain
        yield found
        plain = ""
    if plain:
        yield plain


def _cut(endings: list[str]) -> int:
    for stops in STOPS:
        for index in range(len(endings) - 1, -1, -1):
            if endings[index] in stops:
                return index + 1
    for index in range(len(endings) - 1, -1, -1):
        if endings[index].endswith(WORD_END):
            return index + 1
    return len(endings)


def clip_tokenizer(folder: Path) -> ClipTokenizer:
    """Read once for each state of its files. Raises WeightsInvalid."""
    stamps = tuple(
        (file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(folder.glob("*"))
    )
    return _cached(folder, stamps)


@lru_cache(maxsize=8)
def _cached(folder: Path, _stamps: tuple[tuple[str, int, int], ...]) -> ClipTokenizer:
    return ClipTokenizer(folder)


def _read(folder: Path) -> Any:
    try:
        if not (folder / "vocab.json").is_file():
            return Tokenizer.from_file(str(folder / "tokenizer.json"))
        vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
        pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
        merges = [(left, right) for left, right in pairs]
        model = BPE(
            vocab=vocabulary,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix=WORD_END,
            fuse_unk=False,
            unk_token=END,
        )
    except Exception as error:
        # The library raises bare Exceptions.
        raise WeightsInvalid(f"{folder} holds no usable tokenizer: {str(error)[:200]}") from error
    bpe = Tokenizer(model)
    bpe.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.add_special_tokens(_special_tokens(folder))
    return bpe


def _special_tokens(folder: Path) -> list[AddedToken]:
    """Those of the configuration: SDXL's second tokenizer pads with `!`, which is special in texts too."""
    file = folder / "tokenizer_config.json"
    try:
        config = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        named = [config.get(f"{role}_token") or END for role in ("eos", "unk", "pad")]
        entries = [*config.get("added_tokens_decoder", {}).values(), config.get("bos_token") or START, *named]
        return list({str(token): token for token in map(_added, entries)}.values())
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise WeightsInvalid(f"{file} cannot be read: {error}") from error


def _added(entry: str | dict[str, Any]) -> AddedToken:
    if isinstance(entry, str):
        return AddedToken(entry, special=True, normalized=False)
    flags = {name: entry[name] for name in ("single_word", "lstrip", "rstrip", "normalized") if name in entry}
    return AddedToken(entry["content"], special=True, **flags)
