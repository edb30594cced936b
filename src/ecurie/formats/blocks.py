"""Blocks of the UNet by the names that block-weight presets use: IN00…IN08, M00, OUT00…OUT08.

The convention is that of the A1111 extension sd-webui-lora-block-weight, which counts the original SGM
blocks; the text encoders are BASE, and what lies outside the UNet's blocks has none. Its lists say by their
length which blocks they number, and the blocks that a short list leaves out get 0. Lists of Stable Diffusion
1.5 (17 and 26 numbers) are taken as they stand: SDXL has no IN09…IN11 and no OUT09…OUT11.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from ecurie.formats.sgm_names import sgm_names

BASE, OUTSIDE = "BASE", "outside"
SGM_BLOCK = re.compile(r"(input|output)_blocks[._](\d+)[._]")
DIFFUSERS_BLOCK = re.compile(
    r"(down|up)_blocks[._](\d+)[._](resnets|attentions|downsamplers|upsamplers)[._](\d+)"
)
LARGEST = 4


def _row(inputs: Iterable[int], outputs: Iterable[int]) -> tuple[str, ...]:
    return (BASE, *(f"IN{n:02}" for n in inputs), "M00", *(f"OUT{n:02}" for n in outputs))


LISTS: dict[int, tuple[str, ...]] = {
    12: _row((4, 5, 7, 8), range(6)),
    17: _row((1, 2, 4, 5, 7, 8), range(3, 12)),
    20: _row(range(9), range(9)),
    26: _row(range(12), range(12)),
}
BLOCKS = LISTS[20]
"""Every block that SDXL has."""

Given = Sequence[float] | Mapping[str, float]


def check_blocks(given: object) -> object:
    """`given` itself if it is a list of a known length or a mapping of names or their beginnings.

    Raises ValueError, with what is wrong, for anything else and for numbers that are not from -4 to 4.
    """
    if isinstance(given, list):
        if len(given) not in LISTS:
            lengths = ", ".join(map(str, LISTS))
            raise ValueError(f"{len(given)} numbers: a list of blocks has {lengths} (docs/adapters.md)")
        numbers = dict(zip(LISTS[len(given)], given, strict=True))
    elif isinstance(given, dict):
        for name in given:
            if not isinstance(name, str) or not _meant(name):
                raise ValueError(f"there is no block {name!r}: SDXL has {', '.join(BLOCKS)}")
        numbers = given
    else:
        raise ValueError("should be a list of numbers or a mapping of block names to numbers")
    for name, number in numbers.items():
        # An integer may be too large to be asked whether it is finite.
        real = isinstance(number, float) and math.isfinite(number)
        if isinstance(number, bool) or not (real or isinstance(number, int)):
            raise ValueError(f"the number of {name} should be a finite number, not {number!r:.40}")
        if not -LARGEST <= number <= LARGEST:
            raise ValueError(
                f"the number of {name} should be from -{LARGEST} to {LARGEST}, not {number!r:.40}"
            )
    return given


def beginnings() -> list[str]:
    """What a mapping may call blocks by, in large letters: `OUT`, `OUT0`, `OUT03`."""
    return sorted({block[:length] for block in BLOCKS for length in range(1, len(block) + 1)})


def _meant(name: str) -> list[str]:
    return [block for block in BLOCKS if name and block.startswith(name.upper())]


def settle_blocks(given: Given) -> dict[str, float]:
    """The number of each block of SDXL that is not 1; of a mapping, the longest name that fits decides."""
    if isinstance(given, Mapping):
        settled: dict[str, float] = {}
        for name in sorted(given, key=len):
            settled |= dict.fromkeys(_meant(name), given[name])
    else:
        settled = dict.fromkeys(BLOCKS, 0.0) | dict(zip(LISTS[len(given)], given, strict=True))
    return {block: float(settled[block]) for block in BLOCKS if settled.get(block, 1) != 1}


def notes_on_blocks(given: Given, touched: set[str]) -> list[str]:
    """What a list does not do as its writer may think; `touched` are the blocks that the adapter changes."""
    if isinstance(given, Mapping):
        return []
    listed = dict(zip(LISTS[len(given)], given, strict=True))
    foreign = [name for name, number in listed.items() if name not in BLOCKS and number != 1]
    unlisted = [name for name in BLOCKS if name in touched and name not in listed]
    notes = []
    if foreign:
        notes.append(f"SDXL has no block {', '.join(foreign)}: their numbers are ignored")
    if unlisted:
        notes.append(f"a list of {len(given)} numbers leaves out {', '.join(unlisted)}: they get 0")
    return notes


@lru_cache(maxsize=8)
def blocks_of(unet_paths: frozenset[str]) -> Mapping[str, str]:
    """Block by module path, for every module of a UNet with these module paths."""
    names = {path: name for name, path in sgm_names(set(unet_paths)).items()}
    return {path: _block(names.get(path, "")) for path in unet_paths}


def _block(sgm_name: str) -> str:
    if sgm_name.startswith("middle_block."):
        return "M00"
    match = SGM_BLOCK.match(sgm_name)
    return f"{'IN' if match[1] == 'input' else 'OUT'}{int(match[2]):02}" if match else OUTSIDE


def block_of_name(name: str, layers_per_block: int = 2) -> str:
    """The block of a UNet module by its name alone, in either layout, with dots or underscores.

    Two layers in each block are what the UNets of SD 1.5, 2 and SDXL have.
    """
    if re.match(r"mid(?:dle)?_block[._]", name):
        return "M00"
    if name == "conv_in":
        return "IN00"
    match = DIFFUSERS_BLOCK.match(name)
    if match is None:
        return _block(name)
    side, block, kind, layer = match[1], int(match[2]), match[3], int(match[4])
    row = layers_per_block + 1
    if kind == "downsamplers":
        return f"IN{(block + 1) * row:02}"
    if kind == "upsamplers":
        return f"OUT{block * row + layers_per_block:02}"
    return f"IN{1 + block * row + layer:02}" if side == "down" else f"OUT{block * row + layer:02}"
