"""A request's references: the adapter and image encoder that were used last stay in the host's memory.

They belong to no model: a switch of models, its eviction or the reuse of its modules leaves them as they are,
and the same adapter serves every model that it fits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ecurie.adapters.parallel import Check
from ecurie.domain import GenerationRequest, IpAdapterReport, IpAdapterUse
from ecurie.engine.checking import checked
from ecurie.engine.devices import Compute
from ecurie.engine.image_encoder import ReferenceEmbeds, load_image_encoder, look_at
from ecurie.engine.ip_adapter import IpAdapter, attached, load_ip_adapter
from ecurie.engine.loader import Model
from ecurie.engine.memory import Step
from ecurie.errors import AdapterInvalid
from ecurie.formats.checkpoint import Checkpoint
from ecurie.formats.hashes import sha256_of
from ecurie.formats.image_encoder import WEIGHTS_FILE, read_image_encoder
from ecurie.formats.ip_adapter_file import read_ip_adapter
from ecurie.images.incoming import ReadPicture, read_picture, to_rgb

Key = tuple[object, ...]


@dataclass(frozen=True)
class Prepared:
    """References that are ready to draw with."""

    adapter: IpAdapter
    embeds: ReferenceEmbeds
    report: IpAdapterReport


def adapter_bytes(request: GenerationRequest, checkpoint: Checkpoint, dtype: torch.dtype) -> int:
    """What a request's IP-Adapter adds to the UNet. Raises what `read_ip_adapter` raises."""
    if request.ip_adapter is None:
        return 0
    described = read_ip_adapter(Path(request.ip_adapter.file), checkpoint.inventory)
    return sum(math.prod(info.shape) for info in described.header.tensors.values()) * dtype.itemsize


class References:
    """Reads, keeps and lends what references need."""

    def __init__(self, compute: Compute):
        self._compute = compute
        self._adapter: tuple[Key, IpAdapter] | None = None
        self._encoder: tuple[Key, nn.Module] | None = None
        self._embeds: tuple[Key, ReferenceEmbeds] | None = None

    @property
    def own_bytes(self) -> int:
        """Of the host's memory; an encoder that is mapped counts too, since its pages are read whole."""
        encoder = sum(p.nbytes for p in self._encoder[1].parameters()) if self._encoder else 0
        return encoder + (self._adapter[1].bytes if self._adapter else 0)

    def clear(self) -> None:
        self._adapter = self._encoder = self._embeds = None

    def prepare(
        self, request: GenerationRequest, model: Model, read: ReadPicture, check: Check
    ) -> Prepared | None:
        """What the request's references say; None where there are none.

        Raises what `read_ip_adapter` and `read_image_encoder` raise, or AdapterInvalid for a file that was
        replaced while the job waited.
        """
        use = request.ip_adapter
        if use is None:
            return None
        began = time.perf_counter()
        check()
        adapter = self._adapter_of(use, model)
        check()
        loaded = time.perf_counter()
        embeds = self._embeds_of(request, use, adapter, read, check)
        report = IpAdapterReport(
            name=use.name,
            sha256=use.sha256,
            kind=adapter.described.kind,
            strength=request.ip_strength,
            references=len(request.references),
            layers=len(adapter.processors),
            tokens=adapter.described.tokens,
            read=loaded - began,
            encode=time.perf_counter() - loaded,
        )
        return Prepared(adapter, embeds, report)

    def _adapter_of(self, use: IpAdapterUse, model: Model) -> IpAdapter:
        described = read_ip_adapter(Path(use.file), model.checkpoint.inventory)
        _refuse_replaced(described.file, use.sha256)
        key = (use.sha256, described.layers)
        if self._adapter is None or self._adapter[0] != key:
            self._adapter = None
            self._adapter = key, load_ip_adapter(described, model.unet, self._compute)
        return self._adapter[1]

    def _embeds_of(
        self,
        request: GenerationRequest,
        use: IpAdapterUse,
        adapter: IpAdapter,
        read: ReadPicture,
        check: Check,
    ) -> ReferenceEmbeds:
        """Encoded once while the same references come again."""
        kind = adapter.described.kind
        key = (use.encoder_sha256, kind, tuple(picture.sha256 for picture in request.references))
        if self._embeds is None or self._embeds[0] != key:
            pictures = [
                to_rgb(read_picture(picture, "reference_images", read)) for picture in request.references
            ]
            described = read_image_encoder(Path(use.encoder))
            _refuse_replaced(described.folder / WEIGHTS_FILE, use.encoder_sha256)
            if self._encoder is None or self._encoder[0] != (use.encoder_sha256,):
                self._encoder = None
                self._encoder = (use.encoder_sha256,), load_image_encoder(described, self._compute, check)
            encoder = self._encoder[1]
            try:
                encoder.to(self._compute.device)
                with checked([encoder], check):
                    embeds = look_at(pictures, encoder, described.image_size, kind, self._compute)
                self._embeds = key, embeds
            finally:
                encoder.to("cpu")
        return self._embeds[1]

    @contextmanager
    def at_work(self, prepared: Prepared | None, model: Model, step: Step) -> Iterator[None]:
        """Within, the model's UNet draws with the references; without any it is left alone.

        The adapter is on the device only within, and not even then where the UNet itself comes and goes:
        being part of it, it moves along.
        """
        if prepared is None:
            yield
            return
        adapter, resident = prepared.adapter, step < Step.MODEL_OFFLOAD
        try:
            if resident:
                adapter.move(self._compute.device)
            with attached(model.unet, adapter, prepared.report.strength):
                yield
        finally:
            adapter.move(torch.device("cpu"))


def _refuse_replaced(file: Path, sha256: str) -> None:
    if sha256_of(file) != sha256:
        raise AdapterInvalid(f"{file} was replaced while the job waited", remedy="send it again")
