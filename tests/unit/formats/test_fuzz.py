"""Random and mutated files: only errors of ours leave, quickly, in little memory.

`ECURIE_FUZZ_SECONDS` says for how long (3 by default), `ECURIE_FUZZ_SEED` repeats a run.
"""

from __future__ import annotations

import contextlib
import json
import random
import secrets
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.catalog.inspection import inspect_anything
from ecurie.errors import RequestError
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.algorithms import TELLING, rank_if_fits, tell_algorithm
from ecurie.formats.key_names import ROLES
from ecurie.formats.raw_modules import RawModule
from tests.conftest import DEMO_FOLDER, FUZZ_SECONDS, FUZZ_SEED
from tests.unit.adapters import files

LONGEST_SECONDS = 1.0
MOST_BYTES = 16_000_000
# Measuring memory makes everything several times slower.
MEASURED_EVERY = 10
REAL = sorted((DEMO_FOLDER.parent / "adapters").glob("*.safetensors"))
HOSTILE: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**4000,
    1e308,
    0.5,
    "",
    "F32",
    "\ud800",
    "x" * 9999,
]
HOSTILE += [[], [0], [-1], [[]], {}, {"a": {}}, [2**40, 2**40], "NaN", "[" * 5000]
FIELDS = ["modelspec.trigger_phrase", "ss_tag_frequency", "ss_sd_model_name", "lora_adapter_metadata"]


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def noise(chance: random.Random, _real: bytes) -> bytes:
    """Random bytes behind an honest or a lying length."""
    content = chance.randbytes(chance.randrange(300))
    said = chance.choice([len(content), chance.randrange(400), chance.getrandbits(64)])
    return said.to_bytes(8, "little") + content


def json_noise(chance: random.Random, _real: bytes) -> bytes:
    """Random characters of JSON's own."""
    text = "".join(chance.choices('{}[]",:0123456789.eE-+ntfa\\u _', k=chance.randrange(200)))
    return len(text).to_bytes(8, "little") + text.encode()


def flipped(chance: random.Random, real: bytes) -> bytes:
    """A few wrong bytes, most of them in the header."""
    content = bytearray(real)
    for _ in range(chance.randrange(1, 6)):
        content[chance.randrange(chance.choice([16, 3000, len(content)]))] = chance.randrange(256)
    return bytes(content)


def cut(chance: random.Random, real: bytes) -> bytes:
    return real[: chance.randrange(len(real))] + chance.randbytes(chance.choice([0, 0, 5]))


def rewritten(chance: random.Random, real: bytes) -> bytes:
    """A valid header of JSON with wrong values, names, shapes and metadata."""
    header, data = split(real)
    for _ in range(chance.randrange(1, 4)):
        key = chance.choice(list(header))
        entry = header[key]
        match chance.randrange(6):
            case 0:
                header[key] = chance.choice(HOSTILE)
            case 1 if isinstance(entry, dict) and entry:
                entry[chance.choice(list(entry))] = chance.choice(HOSTILE)
            case 2:
                del header[key]
            case 3:
                header[chance.choice(["", ".", "\ud800", "x" * 9999, key + ".alpha"])] = entry
            case 4:
                header["__metadata__"] = {field: chance.choice(HOSTILE) for field in FIELDS}
            case _:
                header[key.rpartition(".")[0] + "." + chance.choice(list(ROLES))] = header.pop(key)
    return joined(header, data)


def invented(chance: random.Random, _real: bytes) -> bytes:
    """Consistent tensors of random roles, shapes and dtypes on modules of the model: all of it whole."""
    header: dict[str, Any] = {}
    position = 0
    for path in chance.sample(sorted(files.demo_inventory()["unet"]), 2):
        prefix = chance.choice([f"lora_unet_{path.replace('.', '_')}.", f"unet.{path}."])
        for role in chance.sample(sorted(ROLES), chance.randrange(1, 5)):
            shape = [chance.choice([0, 1, 2, 4, 8, 64]) for _ in range(chance.randrange(5))]
            dtype, size = chance.choice([("F32", 4), ("F16", 2), ("BF16", 2), ("I64", 8), ("F8_E4M3", 1)])
            end = position + size
            for side in shape:
                end = position + (end - position) * side
            header[prefix + role] = {"dtype": dtype, "shape": shape, "data_offsets": [position, end]}
            position = end
    return joined(header, bytes(position))


WAYS: list[Callable[[random.Random, bytes], bytes]] = [noise, json_noise, flipped, cut, rewritten, invented]


def examine(file: Path, catalog: Catalog) -> None:
    """All that is done with a file before its tensors are read; errors of ours are an answer."""
    with contextlib.suppress(RequestError):
        read_adapter(file, files.demo_inventory())
    with contextlib.suppress(RequestError):
        inspect_anything(catalog, str(file))


def peak_memory(work: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_only_errors_of_ours_leave_quickly_and_in_little_memory(
    way: Callable[[random.Random, bytes], bytes], tmp_path: Path
) -> None:
    seed = secrets.randbits(32) if FUZZ_SEED is None else FUZZ_SEED
    print(f"ECURIE_FUZZ_SEED={seed}")
    chance = random.Random(seed)
    catalog, reals = Catalog(BUILTIN["demo"], tmp_path), [file.read_bytes() for file in REAL]
    file = tmp_path / "fuzz.safetensors"
    deadline = time.monotonic() + FUZZ_SECONDS / len(WAYS)
    tries = 0
    while time.monotonic() < deadline or tries < 5:
        file.write_bytes(way(chance, chance.choice(reals)))
        # The processor's time: other tests may run beside this one.
        began = time.process_time()
        examine(file, catalog)
        assert time.process_time() - began < LONGEST_SECONDS
        if tries % MEASURED_EVERY == 0:
            assert peak_memory(lambda: examine(file, catalog)) < MOST_BYTES
        tries += 1


@pytest.mark.parametrize("name", TELLING)
def test_shapes_of_any_length_raise_nothing(name: str) -> None:
    chance = random.Random(5)
    sets, besides = TELLING[name]
    for _ in range(10_000):
        roles = [*chance.choice(sets), *chance.sample(sorted(besides), chance.randint(0, len(besides)))]
        shapes = {role: tuple(chance.choices([0, 1, 2, 4], k=chance.randrange(6))) for role in roles}
        weight = tuple(chance.choices([1, 2, 4], k=chance.choice([1, 2, 4])))
        algorithm = tell_algorithm(shapes)
        assert algorithm is not None
        assert rank_if_fits(algorithm, shapes, weight, has_bias=True) in (None, 0, 1, 2, 4)
        assert RawModule("unet", "x", "kohya", {}, shapes).rank in (0, 1, 2, 3, 4)
