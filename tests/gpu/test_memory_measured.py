"""What `ecurie doctor --memory --measure` measures, on an NVIDIA GPU with the demo models."""

from __future__ import annotations

from ecurie.engine.devices import Compute
from ecurie.engine.memory import Step
from ecurie.engine.memory_measured import device_peaks
from ecurie.engine.memory_table import BASE
from ecurie.images.incoming import read_here
from tests.unit.conftest import make_request


def test_each_step_that_is_reached_takes_no_more_than_is_predicted(cuda: Compute) -> None:
    """At this size the reserve is most of it, so some steps fit into as little as the one before."""
    peaks = device_peaks(cuda, make_request(steps=2), BASE, read_here)
    assert list(peaks) == [step.label for step in Step]
    reached = [taken for taken in peaks.values() if taken is not None]
    assert peaks["all-resident"] in reached
    assert all(0 < taken < 300_000_000 for taken in reached)
