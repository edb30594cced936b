"""The tests of stopping a job, on an NVIDIA GPU: weights go there through page-locked buffers."""

from __future__ import annotations

import pytest

from ecurie.engine.devices import Compute
from tests.unit.engine.test_cancel import (
    calls,
    engine,
    expected,
    test_a_job_may_be_stopped_often_in_every_phase,
    test_a_stopped_job_leaves_nothing,
)

__all__ = [
    "calls",
    "engine",
    "expected",
    "test_a_job_may_be_stopped_often_in_every_phase",
    "test_a_stopped_job_leaves_nothing",
]


@pytest.fixture(scope="module")
def compute(cuda: Compute) -> Compute:
    return cuda
