"""What an adapter file is, told from its header: naming, algorithms, and the module of every tensor.

Everything is checked against the model's inventory: a key without a module, a shape that does not fit or a
missing part refuses the file. Never is a part of a file left out in silence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ecurie.domain import Unmatched
from ecurie.errors import AdapterInvalid, AdapterMismatch, NotBuiltYet
from ecurie.formats.adapter_keys import Names, Placed
from ecurie.formats.algorithms import IA3, Shape, label, rank_if_fits, tell_algorithm
from ecurie.formats.embedding_file import EmbeddingEntry, bundled_embeddings, is_bundled
from ecurie.formats.identify import identify
from ecurie.formats.inventory import Inventory, Part
from ecurie.formats.key_names import SHOWN_KEYS, shown
from ecurie.formats.peft_config import Configs, read_configs
from ecurie.formats.safetensors_file import Header, Stamp, read_header, stamp_of
from ecurie.formats.scalars import read_scalars
from ecurie.formats.settings import Settings, Subject, settings_of, trained_rank_stabilised

FLOATS = {"F64", "F32", "F16", "BF16"}
INTEGERS = {"I64", "I32", "I16", "I8", "U8"}
# Marks of what is refused by name until it is built.
NOT_BUILT = {
    ".oft_r.": "the OFT of PEFT before 0.14, which PEFT itself no longer reads",
    ".oft_r": "the OFT of PEFT before 0.14, which PEFT itself no longer reads",
    ".oft_embedding_R": "PEFT's OFT of embeddings",
    ".scaled_oft": "OneTrainer's scaled OFT",
    ".clipped_oft": "OneTrainer's clipped OFT",
    ".cans_exp": "OneTrainer's OFT by the matrix exponential",
    ".boft_R": "PEFT's BOFT",
    ".lora_E": "PEFT's AdaLoRA",
    ".lora_embedding_A": "PEFT's LoRA of embeddings",
    ".lora_B.bias": "PEFT's LoRA with a trained bias",
    ".vera_lambda_": "PEFT's VeRA",
    ".hra_u": "PEFT's HRA",
    ".modules_to_save.": "whole modules (PEFT's modules_to_save)",
}
NOT_BUILT_MARK = re.compile(
    "|".join(
        re.escape(mark) if mark.endswith((".", "_")) else rf"{re.escape(mark)}(?=$|\.weight$)"
        for mark in NOT_BUILT
    ).join("()")
)


@dataclass(frozen=True, slots=True)
class AdapterModule:
    """The tensors of one module: `keys` by role. `rank` is 0 where the algorithm has none.

    `settings` are further roles, whose scalars come from PEFT's configuration; a tensor of the file wins.
    """

    part: Part
    path: str
    algorithm: str
    keys: dict[str, str]
    rank: int
    settings: Settings

    @property
    def label(self) -> str:
        return label(self.algorithm, self.keys)


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """`stamp` is the file's state before it was read; `unmatched` is None where all of it was wanted."""

    file: Path
    naming: str
    modules: tuple[AdapterModule, ...]
    header: Header
    stamp: Stamp
    embeddings: tuple[EmbeddingEntry, ...] = ()
    unmatched: Unmatched | None = None

    @property
    def metadata(self) -> dict[str, str]:
        return self.header.metadata

    def ranks(self) -> dict[int, int]:
        """Rank to the number of modules that have it; 0 for algorithms without one."""
        return dict(sorted(Counter(module.rank for module in self.modules).items()))

    def algorithms(self) -> dict[str, int]:
        """Algorithm to the number of modules that use it."""
        return dict(sorted(Counter(module.label for module in self.modules).items()))


def read_adapter(file: Path, inventory: Inventory, *, strict: bool = True) -> AdapterFile:
    """Read the header and place every key. Not strict: keep what fits, tell the rest in `unmatched`.

    Raises WeightsMissing, WeightsInvalid (no safetensors file), AdapterInvalid (a damaged adapter),
    AdapterMismatch (made for another model: strictly any key, else the whole of it) or NotBuiltYet (an
    algorithm that cannot be applied yet).
    """
    stamp = stamp_of(file)
    header = read_header(file)
    _refuse_unbuilt(file, header)
    embeddings = bundled_embeddings(file, header.tensors, inventory)
    keys = [key for key in header.tensors if not is_bundled(key)]
    places, strangers = _place(file, keys, Names(inventory))
    if not places or (strict and strangers):
        identity = identify(header)
        raise AdapterMismatch(
            f"{file}: {len(strangers)} of {len(keys)} keys fit no module of this model: "
            f"{shown(strangers)}. It is {identity.sentence}",
            remedy=identity.remedy + ("; or apply the rest with strict: false" if places else ""),
        )
    fitting = _Fitting(file, header, inventory, read_configs(file, header))
    refused = fitting.read(places, strict)
    return AdapterFile(
        file,
        " and ".join(sorted(fitting.namings)),
        tuple(fitting.modules),
        header,
        stamp,
        embeddings,
        None if strict else _unmatched(file, strangers, refused),
    )


def _unmatched(file: Path, keys: list[str], refused: list[AdapterInvalid | AdapterMismatch]) -> Unmatched:
    reasons = [str(error).removeprefix(f"{file}: ") for error in refused[:SHOWN_KEYS]]
    return Unmatched(len(keys), tuple(keys[:SHOWN_KEYS]), len(refused), tuple(reasons))


def _refuse_unbuilt(file: Path, header: Header) -> None:
    marks = (mark for key in header.tensors for mark in NOT_BUILT_MARK.findall(key))
    if found := Counter(NOT_BUILT[mark] for mark in marks):
        listed = ", ".join(f"{what} ({count} tensors)" for what, count in found.items())
        raise NotBuiltYet(
            f"{file} holds {listed}, which cannot be applied yet; without them the picture would be another"
        )


Tensors = dict[str, Placed]
"""The places of one module's tensors, by key."""


def _place(file: Path, keys: list[str], names: Names) -> tuple[dict[tuple[Part, str], Tensors], list[str]]:
    """The keys of each module with their places, and the keys without a module."""
    places: dict[tuple[Part, str], Tensors] = {}
    roles: dict[tuple[Part, str, str], str] = {}
    strangers = []
    for key in keys:
        placed = names.place(key)
        if placed is None:
            strangers.append(key)
            continue
        other = roles.setdefault((placed.part, placed.path, placed.role), key)
        if other != key:
            raise AdapterInvalid(f"{file} has two tensors for {placed.part}.{placed.path}: {other} and {key}")
        places.setdefault((placed.part, placed.path), {})[key] = placed
    return places, strangers


class _Fitting:
    """The modules of a file whose tensors fit the model's."""

    def __init__(self, file: Path, header: Header, inventory: Inventory, configs: Configs):
        self._file, self._header, self._inventory, self._configs = file, header, inventory, configs
        self._rank_stabilised = trained_rank_stabilised(header.metadata)
        self.modules: list[AdapterModule] = []
        self.namings: set[str] = set()

    def read(
        self, places: dict[tuple[Part, str], Tensors], strict: bool
    ) -> list[AdapterInvalid | AdapterMismatch]:
        """Returns why each of the others was left out; raises it where `strict`, or where nothing fits."""
        refused: list[AdapterInvalid | AdapterMismatch] = []
        for _, tensors in sorted(places.items()):
            _check_dtypes(self._file, self._header, tensors)
            try:
                self.modules.append(self._module(tensors))
            except (AdapterInvalid, AdapterMismatch) as error:
                if strict:
                    raise
                refused.append(error)
            else:
                self.namings |= {placed.naming for placed in tensors.values()}
        if not self.modules:
            raise refused[0]
        return refused

    def _module(self, tensors: Tensors) -> AdapterModule:
        key, placed = next(iter(tensors.items()))
        part, path = placed.part, placed.path
        keys = {placed.role: key for key, placed in tensors.items()}
        shapes = {role: self._header.tensors[key].shape for role, key in keys.items()}
        algorithm = tell_algorithm(shapes)
        if algorithm is None:
            raise AdapterInvalid(
                f"{self._file}: {part}.{path} has only {', '.join(keys.values())}: a part is missing"
            )
        source = self._inventory[part][path]
        rank = rank_if_fits(algorithm, shapes, source.shape, has_bias=source.bias is not None)
        if rank is None or not self._vector_fits(algorithm, keys, source.shape):
            identity = identify(self._header)
            listed = ", ".join(f"{role} {_size(shape)}" for role, shape in shapes.items())
            raise AdapterMismatch(
                f"{self._file}: the {algorithm} tensors of {part}.{path} ({listed}) do not fit its weight of "
                f"{_size(source.shape)}. The file is {identity.sentence}",
                remedy=identity.remedy,
            )
        subject = Subject(
            self._file,
            key,
            placed.name,
            placed.naming,
            shapes,
            source.shape,
            has_bias=source.bias is not None,
            rank_stabilised=self._rank_stabilised,
        )
        settings = settings_of(algorithm, subject, self._configs.get(part, self._configs.get(None)))
        return AdapterModule(part, path, algorithm, keys, rank, settings)

    def _vector_fits(self, algorithm: str, keys: Mapping[str, str], weight: Shape) -> bool:
        """Which side a LyCORIS (IA)^3 vector scales is the value of `on_input`: the one number read here."""
        if algorithm != IA3 or "on_input" not in keys:
            return True
        infos = {role: self._header.tensors[key] for role, key in keys.items()}
        on_input = read_scalars(self._file, {"on_input": infos["on_input"]})["on_input"]
        return prod(infos["weight"].shape) == weight[1 if on_input else 0]


def _size(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _check_dtypes(file: Path, header: Header, tensors: Tensors) -> None:
    for key, placed in tensors.items():
        # Trainers that are given a whole alpha write it as an integer.
        dtype = header.tensors[key].dtype
        if dtype not in (FLOATS | INTEGERS if placed.role in ("alpha", "on_input") else FLOATS):
            raise AdapterInvalid(f"{file}: {key} has dtype {dtype}, not a floating-point one")
