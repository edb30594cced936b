"""A short run of random faults; `python -m tests.faults_run` is the long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conftest import FUZZ_SEED
from tests.faults_run.faults import one_machine
from tests.faults_run.run import Plan, run


@pytest.mark.timeout(500)
def test_random_faults_lose_no_job_and_leave_no_file(tmp_path: Path) -> None:
    seed = random.randrange(1000) if FUZZ_SEED is None else FUZZ_SEED
    kinds = ("worker", "frozen", "server", "everything")
    plan = Plan(jobs=30, seed=seed, kinds=kinds, count=4, seconds=8, gap=0.7)
    with one_machine(tmp_path / "data", random.Random(seed)) as machine:
        outcome = run(plan, machine)
    assert outcome.problems == [], f"seed {seed}"
    assert len(outcome.history.accepted) == 30
    assert outcome.ends["succeeded"] > 15
