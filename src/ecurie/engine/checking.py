"""Checks within the work of a network: a step of full SDXL takes minutes on a CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ecurie.adapters.parallel import Check


@contextmanager
def checked(modules: Iterable[nn.Module], check: Check) -> Iterator[None]:
    """Within, `check` is called before each block of these networks; what it raises leaves their forward."""

    def before(_block: nn.Module, _inputs: Any) -> None:
        check()

    handles = [block.register_forward_pre_hook(before) for module in modules for block in _blocks(module)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The networks of diffusers and transformers keep what they run one after the other in lists."""
    for inner in module.modules():
        if isinstance(inner, nn.ModuleList):
            yield from inner
