"""Which device computes, and in which dtype."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ecurie.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Compute:
    """fp16 on accelerators; float32 on CPU, where half precision is 10 to 60 times slower."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def limit_threads(count: int) -> None:
    torch.set_num_threads(count)


def available_devices() -> dict[str, str]:
    """Device name to what it is, best first."""
    found = {}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_device_name(0)
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    found["cpu"] = f"{torch.get_num_threads()} threads"
    return found


def choose_compute(wanted: str) -> Compute:
    """`wanted` is auto, cpu, cuda or mps. Raises SettingsError when the machine lacks it."""
    found = available_devices()
    name = next(iter(found)) if wanted == "auto" else wanted
    if name not in found:
        raise SettingsError(
            f"--device {name}: this machine's PyTorch sees only {', '.join(found)}",
            remedy="use --device auto, or install a PyTorch build for your accelerator",
        )
    return Compute(torch.device(name), torch.float32 if name == "cpu" else torch.float16)
