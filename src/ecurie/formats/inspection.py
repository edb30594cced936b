"""Everything that a file tells of itself, for people: of any family, without a model beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ecurie.formats.blocks import BASE, block_of_name
from ecurie.formats.hashes import AUTO_V2_DIGITS, auto_v3_of, sha256_of
from ecurie.formats.identify import Identity, Kind, identify
from ecurie.formats.metadata import MAX_FLOAT32, About, parse_json, read_about
from ecurie.formats.raw_modules import RawModule, raw_modules
from ecurie.formats.safetensors_file import Header, read_header
from ecurie.formats.scalars import read_scalars

SHOWN_STRANGERS = 20
ALPHA_IS_RANK = "as the rank"


@dataclass(frozen=True, slots=True)
class AdapterContent:
    """Counts of modules. `alphas` by their value as text, `blocks` by part and block; `other_keys` are the
    first of those that belong to no module of an adapter, `others` their number."""

    naming: str
    modules: int
    algorithms: dict[str, int]
    ranks: dict[int, int]
    alphas: dict[str, int]
    blocks: dict[str, dict[str, int]]
    others: int
    other_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """`dtypes` counts tensors, `adapter` is None for what is none, `metadata` is whole."""

    file: str
    bytes: int
    sha256: str
    auto_v2: str
    auto_v3: str
    identity: Identity
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    adapter: AdapterContent | None
    about: About
    metadata: dict[str, str]


def inspect_file(file: Path, layers_per_block: int = 2) -> Inspection:
    """Read the header, the alphas, and the whole file once for its hashes.

    `layers_per_block` is that of the UNet whose blocks are named. Raises WeightsMissing or WeightsInvalid.
    """
    header = read_header(file)
    identity = identify(header)
    sha256 = sha256_of(file)
    infos = header.tensors.values()
    return Inspection(
        file=str(file),
        bytes=file.stat().st_size,
        sha256=sha256,
        auto_v2=sha256[:AUTO_V2_DIGITS],
        auto_v3=auto_v3_of(file),
        identity=identity,
        tensors=len(header.tensors),
        parameters=sum(prod(info.shape) for info in infos),
        dtypes=_counts(info.dtype for info in infos),
        adapter=_content(file, header, layers_per_block) if identity.kind is Kind.ADAPTER else None,
        about=read_about(header.metadata),
        metadata=header.metadata,
    )


def _content(file: Path, header: Header, layers_per_block: int) -> AdapterContent:
    modules, others = raw_modules(header)
    blocks: dict[str, Counter[str]] = {}
    for module in modules:
        block = block_of_name(module.name, layers_per_block) if module.part == "unet" else BASE
        blocks.setdefault(module.part, Counter())[block] += 1
    return AdapterContent(
        naming=" and ".join(sorted({module.naming for module in modules})),
        modules=len(modules),
        algorithms=_counts(module.label for module in modules),
        ranks=dict(sorted(Counter(module.rank for module in modules).items())),
        alphas=_alphas(file, header, modules),
        blocks={part: dict(sorted(counts.items())) for part, counts in blocks.items()},
        others=len(others),
        other_keys=tuple(others[:SHOWN_STRANGERS]),
    )


def _alphas(file: Path, header: Header, modules: list[RawModule]) -> dict[str, int]:
    """From the tensors, else from PEFT's configuration in the metadata, else the rank."""
    keys = [module.keys["alpha"] for module in modules if "alpha" in module.keys]
    values = read_scalars(file, {key: header.tensors[key] for key in keys})
    found = Counter(f"{value:g}" for value in values.values())
    options = parse_json(header.metadata.get("lora_adapter_metadata", ""))
    for module in modules:
        if "alpha" not in module.keys and module.rank:
            alpha = options.get(f"{module.part}.lora_alpha") if isinstance(options, dict) else None
            usable = isinstance(alpha, int | float) and abs(alpha) < MAX_FLOAT32
            found[f"{alpha:g}" if usable else ALPHA_IS_RANK] += 1
    return dict(found.most_common())


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
