"""What a model is made of, whatever its files look like: tensors by the names of their modules,
configurations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMPONENTS = ("unet", "vae", "text_encoder", "text_encoder_2")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a tensor lies: `key` of `file`, to be given `shape`.

    `rows` are the first axis' that are meant, where a file keeps several tensors in one; `transposed`: the
    file has the two axes the other way round. `bias` is that of the same module, if it has one.
    """

    file: Path
    key: str
    shape: tuple[int, ...]
    bias: Source | None = None
    rows: tuple[int, int] | None = None
    transposed: bool = False

    def cut(self, start: int, end: int) -> Source:
        return dataclasses.replace(self, rows=(start, end), shape=(end - start, *self.shape[1:]))

    def turned(self) -> Source:
        return dataclasses.replace(self, transposed=True, shape=self.shape[::-1])

    def shaped(self, shape: tuple[int, ...]) -> Source:
        return dataclasses.replace(self, shape=shape)


Tensors = Mapping[str, Source]


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """`tensors` and `configs` by component; of a tensor's name, the `text_model.` of text encoders may be
    left out.

    `scheduler_config` is the published one; `zero_empty_negative`: trained with zeros as its empty condition.
    """

    tensors: Mapping[str, Tensors]
    configs: Mapping[str, dict[str, Any]]
    tokenizers: tuple[Path, Path]
    scheduler_config: dict[str, Any]
    zero_empty_negative: bool
