"""Imports of large packages in two thirds of their time, for processes that are made to answer soon."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# Diffusers and transformers import these for a scheduler's option, for one scheduler and for the losses of
# object detection; they take half a second. They get functions that import scipy when they are called.
DEFERRED = ("scipy.integrate", "scipy.optimize", "scipy.stats")


@contextmanager
def quick_imports() -> Iterator[None]:
    """Within, imports run without garbage collection, and scipy is left for later.

    What lives after it is never looked through again: the million objects of these packages stay for good,
    and each full collection would spend a quarter of a second on them (docs/log.md).
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        with _scipy_deferred():
            yield
    finally:
        gc.freeze()
        if collected:
            gc.enable()


@contextmanager
def _scipy_deferred() -> Iterator[None]:
    """What is imported within gets a `_Deferred` for each module of `DEFERRED` that is not here already.

    After it, importing them does what it always does.
    """
    standing_in = {name: _Deferred(name) for name in DEFERRED if name not in sys.modules}
    sys.modules.update(standing_in)
    try:
        yield
    finally:
        for name in standing_in:
            del sys.modules[name]


class _Deferred(ModuleType):
    """A module of functions, which is imported when one of them is called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(self.__name__), name)(*arguments, **options)

        return call
