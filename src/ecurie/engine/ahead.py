"""Getting ready, beside a running job, what a later one needs: nothing of a model in memory is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from ecurie.adapters.parallel import Check
from ecurie.domain import GenerationRequest
from ecurie.engine.residency import Residency
from ecurie.engine.stack import Stacks
from ecurie.formats.checkpoint import Checkpoint, files_of, read_checkpoint
from ecurie.formats.image_encoder import WEIGHTS_FILE
from ecurie.formats.model_files import files_by_part
from ecurie.formats.read_ahead import read_ahead
from ecurie.machine import free_ram

LEFT_FREE_BYTES = 1 << 30


def get_ready(request: GenerationRequest, stacks: Stacks, residency: Residency, check: Check) -> int:
    """Read a settled request's adapters into memory and its other files into the page cache.

    For a thread of its own; `check` is called at every few MB, and raises what is to stop it. Returns how
    many bytes of files were not in the page cache. Raises what reading the files raises.
    """
    # Its own threads would compete with those of the running job.
    torch.set_num_threads(1)
    checkpoint = read_checkpoint(files_of(request))
    stacks.read_ahead(request, checkpoint, check)
    done, room = 0, _room(residency)
    for file in dict.fromkeys(_files(request, checkpoint, residency)):
        done += read_ahead(file, room, check)
        room -= file.stat().st_size
    return done


def _room(residency: Residency) -> int:
    """Bytes that the page cache may take in without losing the files of the models in memory. Pages that
    they use count as free for the system, since it could read them again."""
    return free_ram() - sum(file.stat().st_size for file in residency.files()) - LEFT_FREE_BYTES


def _files(request: GenerationRequest, checkpoint: Checkpoint, residency: Residency) -> Iterator[Path]:
    if not residency.holds(checkpoint):
        yield from (file for _, file in files_by_part(checkpoint))
    if request.ip_adapter is not None:
        yield Path(request.ip_adapter.file)
        yield Path(request.ip_adapter.encoder) / WEIGHTS_FILE
