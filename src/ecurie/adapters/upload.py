"""Weights from the host's memory, or from mapped files, to a CUDA device at the speed of its bus.

From ordinary memory the driver copies through one buffer of its own, one thread at a time. Here every thread
fills page-locked buffers, which the device fetches by itself while the thread fills the next one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ecurie.adapters.parallel import Check, go_on, run_all

# Measured on an H200 with 16 cores: more threads wait for each other, smaller chunks too.
THREADS = 8
CHUNK_BYTES = 32 << 20
BUFFERS = 2
Copy = tuple[Tensor, Tensor]
"""(target, source) of one shape and dtype; the target contiguous and on the device, the source on the CPU."""


def upload(copies: Sequence[Copy], device: torch.device, check: Check = go_on) -> None:
    """Copy each source into its target; returns when all of it is there. Raises what `check` raises."""
    if device.type != "cuda":
        for target, source in copies:
            check()
            target.copy_(source)
        return
    torch.cuda.current_stream(device).synchronize()
    lanes = _Lanes(device)
    try:
        run_all([partial(lanes.carry, chunk) for chunk in chunks_of(copies)], THREADS, check)
    finally:
        # What was begun writes into the targets until it ends, whoever has their memory then.
        torch.cuda.synchronize(device)


Moved = list[tuple[nn.Parameter, Tensor]]
"""Parameters, and what they were before."""


def move(module: nn.Module, device: torch.device) -> Moved:
    """As `module.to(device)`; returns what stays at the host, so that `put_back` need copy nothing."""
    at_host = [(one, one.data) for one in module.parameters() if one.device.type == "cpu"]
    targets = [torch.empty(kept.shape, dtype=kept.dtype, device=device) for _, kept in at_host]
    upload([(target, kept) for target, (_, kept) in zip(targets, at_host, strict=True)], device)
    for target, (parameter, _) in zip(targets, at_host, strict=True):
        parameter.data = target
    module.to(device)
    return at_host


def put_back(module: nn.Module, moved: Moved) -> None:
    """Undo `move`, if nobody has written into the parameters since."""
    for parameter, kept in moved:
        parameter.data = kept
    module.to("cpu")


def chunks_of(copies: Iterable[Copy], size: int = CHUNK_BYTES) -> Iterator[list[Copy]]:
    """The same copies in lists of at most `size` bytes: large tensors in pieces, small ones together."""
    chunk: list[Copy] = []
    room = size
    for target, source in copies:
        for piece in _pieces(target, source, size):
            needed = padded(piece[1].nbytes)
            if needed > room and chunk:
                yield chunk
                chunk, room = [], size
            chunk.append(piece)
            room -= needed
    if chunk:
        yield chunk


def padded(size: int) -> int:
    """Up to the next multiple of 16, so that every piece is aligned for its dtype."""
    return -(-size // 16) * 16


def _pieces(target: Tensor, source: Tensor, size: int) -> Iterator[Copy]:
    if source.nbytes <= size:
        yield target, source
        return
    whole, parts = target.reshape(-1), source.reshape(-1)
    step = size // source.element_size()
    for start in range(0, math.prod(source.shape), step):
        yield whole[start : start + step], parts[start : start + step]


class _Lanes(threading.local):
    """A thread's own stream and page-locked buffers."""

    def __init__(self, device: torch.device):
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._buffers = [torch.empty(CHUNK_BYTES, dtype=torch.uint8, pin_memory=True) for _ in range(BUFFERS)]
        self._fetched = [torch.cuda.Event() for _ in range(BUFFERS)]  # type: ignore[no-untyped-call]
        self._turn = 0

    def carry(self, chunk: Sequence[Copy]) -> None:
        self._turn = (self._turn + 1) % BUFFERS
        buffer, fetched = self._buffers[self._turn], self._fetched[self._turn]
        fetched.synchronize()
        place = 0
        with torch.cuda.stream(self._stream):
            for target, source in chunk:
                locked = buffer[place : place + source.nbytes].view(source.dtype).view(source.shape)
                locked.copy_(source)
                target.copy_(locked, non_blocking=True)
                place += padded(source.nbytes)
            fetched.record()
