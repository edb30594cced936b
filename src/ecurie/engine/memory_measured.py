"""What drawing really takes of a CUDA device, at each step of the memory ladder."""

from __future__ import annotations

import gc
import math
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import torch

from ecurie.domain import GenerationRequest
from ecurie.engine.devices import Compute, give_back_memory
from ecurie.engine.engine import Engine
from ecurie.engine.memory import Step, peak
from ecurie.engine.memory_table import Load
from ecurie.engine.need import need_of
from ecurie.engine.residency import Budgets
from ecurie.errors import OutOfMemory
from ecurie.formats.checkpoint import Checkpoint, files_of, read_checkpoint
from ecurie.images.files import OutputFolder
from ecurie.images.incoming import ReadPicture
from ecurie.images.storage import LocalFolder

PLENTY = 1 << 50


def device_peaks(
    compute: Compute, request: GenerationRequest, load: Load, read: ReadPicture
) -> dict[str, int | None]:
    """The most bytes of the device's tensors at each step, by label; None where the plan cannot be brought to
    take it: the step before fits into as little, or this one does not fit the device.

    Each is drawn by an engine of its own, whose budget is what is predicted for that step.
    """
    checkpoint = read_checkpoint(files_of(request))
    return {step.label: _peak(compute, request, checkpoint, step, load, read) for step in Step}


def _peak(
    compute: Compute,
    request: GenerationRequest,
    checkpoint: Checkpoint,
    step: Step,
    load: Load,
    read: ReadPicture,
) -> int | None:
    need = need_of(checkpoint.parts.tensors, compute.dtype).with_more("unet", load.unet)
    engine = Engine(compute, Budgets(PLENTY, peak(step, need, math.prod(request.final_size))))
    gc.collect()
    give_back_memory(compute.device)
    torch.cuda.reset_peak_memory_stats(compute.device)
    with tempfile.TemporaryDirectory() as folder:
        outputs = OutputFolder(LocalFolder(Path(folder)), "memory", datetime.now(UTC))
        try:
            result = engine.run(request, outputs, lambda _progress: None, read)
        except OutOfMemory:
            return None
    taken = torch.cuda.max_memory_allocated(compute.device)
    return taken if result.setup.memory_step == step.label and not result.out_of_memory else None
