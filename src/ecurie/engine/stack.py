"""A request's adapter stack on a model: read, applied, reported."""

from __future__ import annotations

import time
from collections import OrderedDict
from pathlib import Path

from ecurie.adapters.patcher import Applied
from ecurie.adapters.reader import Adapter, load_adapter
from ecurie.domain import AdapterReport, AdapterUse, GenerationRequest, StackReport
from ecurie.engine.loader import Model
from ecurie.errors import AdapterInvalid
from ecurie.formats.adapter_file import AdapterFile, read_adapter
from ecurie.formats.diffusers_folder import FolderFacts
from ecurie.formats.hashes import sha256_of
from ecurie.formats.inventory import read_inventory

# In float32 a rank-32 adapter of full SDXL takes 450 MB.
KEPT_ADAPTERS = 3


class Stacks:
    """Applies stacks; the factors of the adapters used last stay in memory."""

    def __init__(self) -> None:
        self._read: OrderedDict[tuple[str, str, object], tuple[AdapterFile, Adapter]] = OrderedDict()

    def apply(self, request: GenerationRequest, model: Model, facts: FolderFacts) -> StackReport:
        """Make the model's weights equal base + the request's stack.

        Raises what `read_adapter` and `load_adapter` raise, or AdapterInvalid for a file that was replaced
        while the job waited; the weights are pristine or as before then.
        """
        began = time.perf_counter()
        read = [self._adapter(use, request, facts) for use in request.adapters]
        loaded = time.perf_counter()
        stack = [
            Applied(
                adapter,
                {"unet": use.unet, "text_encoder": use.text_encoder, "text_encoder_2": use.text_encoder},
            )
            for use, (_, adapter) in zip(request.adapters, read, strict=True)
        ]
        written = model.patcher.apply(stack)
        reports = tuple(
            _report(use, described) for use, (described, _) in zip(request.adapters, read, strict=True)
        )
        return StackReport(reports, written, loaded - began, time.perf_counter() - loaded)

    def _adapter(
        self, use: AdapterUse, request: GenerationRequest, facts: FolderFacts
    ) -> tuple[AdapterFile, Adapter]:
        key = (use.sha256, request.model_path, facts.stamp)
        if key not in self._read:
            file = Path(use.file)
            if not file.is_file() or sha256_of(file) != use.sha256:
                raise AdapterInvalid(
                    f"{file} was removed or replaced while the job waited", remedy="send it again"
                )
            described = read_adapter(file, read_inventory(Path(request.model_path), facts.stamp))
            while len(self._read) >= max(KEPT_ADAPTERS, len(request.adapters)):
                self._read.popitem(last=False)
            self._read[key] = described, load_adapter(described, use.sha256)
        self._read.move_to_end(key)
        return self._read[key]


def _report(use: AdapterUse, described: AdapterFile) -> AdapterReport:
    return AdapterReport(
        name=use.name,
        sha256=use.sha256,
        naming=described.naming,
        algorithms=described.algorithms(),
        ranks=described.ranks(),
        modules=len(described.modules),
        unet=use.unet,
        text_encoder=use.text_encoder,
        triggers=use.triggers,
        warnings=use.warnings,
    )
