"""A request's adapter stack on a model: read, applied, reported."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from ecurie.adapters.embeddings import Embedding, load_embedding
from ecurie.adapters.parallel import Check, go_on
from ecurie.adapters.patcher import Applied, Signature, signature_of
from ecurie.adapters.reader import Adapter, load_adapter
from ecurie.domain import (
    AdapterReport,
    AdapterUse,
    EmbeddingReport,
    EmbeddingUse,
    GenerationRequest,
    StackReport,
)
from ecurie.engine.loader import Model
from ecurie.errors import AdapterInvalid
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.blocks import blocks_of
from ecurie.formats.checkpoint import Checkpoint
from ecurie.formats.embedding_file import read_embedding
from ecurie.formats.hashes import sha256_of
from ecurie.formats.inventory import Inventory, Part
from ecurie.formats.peft_config import config_sha256_of

TEXT_PARTS: tuple[Part, ...] = ("text_encoder", "text_encoder_2")
KEPT_BYTES = 1 << 30
"""Adapter files stay in memory up to this size together: four of rank 32 at full SDXL."""


@dataclass(frozen=True, slots=True)
class ReadStack:
    """A request's stack in memory: its adapters, with the seconds that reading each took; and its embeddings'
    files."""

    adapters: tuple[tuple[AdapterUse, Adapter, float], ...]
    applied: tuple[Applied, ...]
    own_embeddings: tuple[Embedding, ...]

    @property
    def embeddings(self) -> list[Embedding]:
        """Those that adapters bring along come first: of two of one name, theirs counts."""
        bundled = [adapter.embeddings for use, adapter, _ in self.adapters if use.active]
        return [*itertools.chain(*bundled), *self.own_embeddings]

    @property
    def text_signature(self) -> Signature:
        """Of what the stack does to the text encoders."""
        return tuple(signature_of(self.applied, part) for part in TEXT_PARTS)


class Stacks:
    """Applies stacks; the files of the adapters used last stay in memory. Another thread may read ahead."""

    def __init__(self) -> None:
        self._read: OrderedDict[tuple[object, ...], Adapter] = OrderedDict()
        self._lock = Lock()

    def read(self, request: GenerationRequest, model: Model, check: Check = go_on) -> ReadStack:
        """The request's adapters and embeddings in memory.

        Raises what `read_adapter`, `load_adapter` and `load_embedding` raise, or AdapterInvalid for a file
        that was replaced while the job waited. `check` is called before each.
        """
        read = []
        for use in request.adapters:
            check()
            read.append(self._timed(use, model.checkpoint))
        self._forget_old(len(read))
        inventory = model.checkpoint.inventory
        adapters = tuple(
            (use, adapter, seconds) for use, (adapter, seconds) in zip(request.adapters, read, strict=True)
        )
        return ReadStack(
            adapters,
            tuple(_applied(use, adapter, inventory) for use, adapter, _ in adapters),
            tuple(read_embedding_of(use, inventory) for use in request.embeddings),
        )

    def apply(self, request: GenerationRequest, model: Model) -> StackReport:
        """Make the model's weights equal base + the request's stack; raises what `read` raises."""
        return apply_stack(self.read(request, model), request, model)

    def read_ahead(self, request: GenerationRequest, checkpoint: Checkpoint, check: Check) -> None:
        """Read the adapters that a later request needs, as `read` does and raising what it raises."""
        for use in request.adapters:
            check()
            self._adapter(use, checkpoint)
        self._forget_old(len(request.adapters))

    def _timed(self, use: AdapterUse, checkpoint: Checkpoint) -> tuple[Adapter, float]:
        began = time.perf_counter()
        return self._adapter(use, checkpoint), time.perf_counter() - began

    def _adapter(self, use: AdapterUse, checkpoint: Checkpoint) -> Adapter:
        key = (use.sha256, use.config_sha256, checkpoint.files, checkpoint.stamp, use.strict)
        # The job does not wait for the thread that reads ahead: its low priority would be the job's.
        adapter = self._read.get(key) or _load(use, checkpoint)
        with self._lock:
            self._read[key] = adapter
            self._read.move_to_end(key)
        return adapter

    def _forget_old(self, in_use: int) -> None:
        with self._lock:
            sizes = [adapter.size for adapter in self._read.values()]
            while len(sizes) > in_use and sum(sizes) > KEPT_BYTES:
                self._read.popitem(last=False)
                sizes.pop(0)


def _load(use: AdapterUse, checkpoint: Checkpoint) -> Adapter:
    file = Path(use.file)
    described = read_adapter(file, checkpoint.inventory, strict=use.strict)
    same = described.stamp == use.stamp or sha256_of(file) == use.sha256
    if not same or config_sha256_of(file) != use.config_sha256:
        raise AdapterInvalid(f"{file} was replaced while the job waited", remedy="send it again")
    return load_adapter(described, use.sha256 + use.config_sha256)


def apply_stack(
    stack: ReadStack,
    request: GenerationRequest,
    model: Model,
    parts: Iterable[Part] | None = None,
    check: Check = go_on,
) -> StackReport:
    """Make the weights of `parts` (default: all) equal base + the stack; they are pristine or as before when
    an error leaves."""
    change = model.patcher.apply(stack.applied, parts, check)
    return StackReport(
        adapters=tuple(_report(*read) for read in stack.adapters),
        weights_written=change.patched + change.restored,
        read=sum(seconds for _, _, seconds in stack.adapters),
        compute=change.compute,
        restore=change.restore,
        embeddings=tuple(
            EmbeddingReport(use.name, use.sha256, use.auto_v3, use.vectors) for use in request.embeddings
        ),
    )


def read_embedding_of(use: EmbeddingUse, inventory: Inventory) -> Embedding:
    file = Path(use.file)
    return load_embedding(file, read_embedding(file, inventory), use.sha256)


def _applied(use: AdapterUse, adapter: Adapter, inventory: Inventory) -> Applied:
    return Applied(
        adapter,
        {"unet": use.unet, "text_encoder": use.text_encoder, "text_encoder_2": use.text_encoder},
        dict(use.blocks),
        blocks_of(frozenset(inventory["unet"])),
    )


def _report(use: AdapterUse, adapter: Adapter, read: float) -> AdapterReport:
    described = adapter.described
    return AdapterReport(
        name=use.name,
        sha256=use.sha256,
        naming=described.naming,
        algorithms=described.algorithms(),
        ranks=described.ranks(),
        modules=len(described.modules),
        unet=use.unet,
        text_encoder=use.text_encoder,
        embeddings=use.embeddings,
        triggers=use.triggers,
        triggers_from=use.triggers_from if use.triggers else "",
        warnings=use.warnings,
        read=read,
        blocks=dict(use.blocks),
        unmatched=described.unmatched,
    )
