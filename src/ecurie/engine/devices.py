"""Which device computes, and in which dtype."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ecurie.errors import SettingsError

# The CPU's errors are plain RuntimeErrors, and so are those of MPS.
FULL_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


@dataclass(frozen=True, slots=True)
class Compute:
    """fp16 on accelerators; float32 on CPU, where half precision is 10 to 60 times slower."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    @property
    def on_cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def at_host(self) -> Compute:
        """The same dtype in the host's memory."""
        return replace(self, device=torch.device("cpu"))


def limit_threads(count: int) -> None:
    torch.set_num_threads(count)


def available_devices() -> dict[str, str]:
    """Device name to what it is, best first."""
    found = {}
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        found["cuda"] = ", ".join(torch.cuda.get_device_name(number) for number in range(count))
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    found["cpu"] = f"{torch.get_num_threads()} threads"
    return found


def choose_compute(wanted: str) -> Compute:
    """`wanted` is auto, cpu, mps, cuda or cuda:N. Raises SettingsError when the machine lacks it.

    A CUDA device of a number becomes the one that this process uses wherever none is named.
    """
    found = available_devices()
    name = next(iter(found)) if wanted == "auto" else wanted
    kind, _, number = name.partition(":")
    if kind not in found or (number and int(number) >= torch.cuda.device_count()):
        raise SettingsError(
            f"--device {name}: this machine's PyTorch sees only {', '.join(found)}",
            remedy="use --device auto, or install a PyTorch build for your accelerator",
        )
    device = torch.device(name)
    if number:
        torch.cuda.set_device(device)
    return Compute(device, torch.float32 if name == "cpu" else torch.float16)


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in FULL_MEMORY)


def free_vram(device: torch.device) -> int:
    """Bytes free on an accelerator, with those that this process holds there; 0 for the CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return torch.mps.recommended_max_memory() if device.type == "mps" else 0


def device_memory(device: torch.device) -> dict[str, int]:
    """Bytes of an accelerator: `vram_used` by this process's tensors, the most that were (`vram_peak`), and
    those that it may take still (`vram_free`); nothing for the CPU."""
    if device.type == "cuda":
        return {
            "vram_used": torch.cuda.memory_allocated(device),
            "vram_peak": torch.cuda.max_memory_allocated(device),
            "vram_free": torch.cuda.mem_get_info(device)[0],
        }
    if device.type == "mps":
        used = torch.mps.current_allocated_memory()
        return {"vram_used": used, "vram_free": max(0, free_vram(device) - used)}
    return {}


def give_back_memory(device: torch.device) -> None:
    """Return what the allocator keeps to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was told: an accelerator's calls return before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
