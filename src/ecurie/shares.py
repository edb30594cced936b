"""What each of several workers gets of a machine: its device, its threads, its memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ecurie.errors import SettingsError

CUDA_IF_THERE = ("auto", "cuda")


@dataclass(frozen=True, slots=True)
class Machine:
    """Each is asked only where it matters, since counting CUDA devices takes seconds; memory in bytes, what
    all workers may take together."""

    cuda_devices: Callable[[], int]
    cores: Callable[[], int]
    memory: Callable[[], int]


def share_out(
    workers: int | Literal["auto"], device: str, threads: int | None, machine: Machine
) -> list[dict[str, str]]:
    """The variables of each worker that differ from the server's settings. `auto` is one for each CUDA
    device, else one.

    Raises SettingsError for more workers than CUDA devices.
    """
    cuda = machine.cuda_devices() if device in CUDA_IF_THERE and workers not in (0, 1) else 0
    count = max(1, cuda) if workers == "auto" else workers
    if count <= 1:
        return [{}] * count
    if 0 < cuda < count:
        raise SettingsError(
            f"--workers {count}: this machine has {cuda} CUDA devices, and a worker needs one of its own",
            remedy="leave out --workers, which starts one for each, or add --device cpu",
        )
    shared = {"ECURIE_RAM_BUDGET": str(machine.memory() // count)}
    if cuda:
        return [shared | {"ECURIE_DEVICE": f"cuda:{number}"} for number in range(count)]
    shared["ECURIE_THREADS"] = str(threads or max(1, machine.cores() // count))
    return [shared] * count
