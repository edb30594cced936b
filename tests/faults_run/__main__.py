"""`python -m tests.faults_run --jobs 300 --seed 7`: a long run, and its line for bench/RESULTS.md."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults_run.cluster import cluster
from tests.faults_run.faults import one_machine
from tests.faults_run.run import Outcome, Plan, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults_run")
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=None, help="drawn and printed when it is not given")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), help="several machines instead of one")
    parser.add_argument("--faults", default="", help="kinds, with commas between them; default: all")
    parser.add_argument("--count", type=int, default=40, help="how many faults")
    parser.add_argument("--seconds", type=float, default=200, help="over how long the jobs are sent")
    parser.add_argument("--gap", type=float, default=2, help="mean time between a ready worker and a fault")
    given = parser.parse_args()
    seed = random.randrange(1000) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    folder, chance = Path(tempfile.mkdtemp(prefix="ecurie-faults-")), random.Random(seed)
    data_dir = folder / "data"
    with (
        one_machine(data_dir, chance)
        if given.broker is None
        else cluster(data_dir, chance, given.broker) as system
    ):
        kinds = [kind for kind in given.faults.split(",") if kind] or list(system.faults)
        if unknown := set(kinds) - system.faults.keys():
            parser.error(f"unknown faults {sorted(unknown)}; there are {', '.join(system.faults)}")
        outcome = run(Plan(given.jobs, seed, kinds, given.count, given.seconds, given.gap), system)
    print(row(seed, outcome))
    for problem in outcome.problems:
        print(problem)
    if outcome.problems:
        sys.exit(f"{len(outcome.problems)} problems; what is left of the run is in {folder}")
    shutil.rmtree(folder)


def row(seed: int, outcome: Outcome) -> str:
    """seed, jobs accepted, submissions without an answer, faults, ends, runs of a job, time, problems."""
    history = outcome.history
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.faults.items()))
    ends = ", ".join(f"{count} {state}" for state, count in sorted(outcome.ends.items()))
    attempts = ", ".join(f"{count}× {number}" for number, count in sorted(outcome.attempts.items()))
    cells = (
        seed,
        len(history.accepted),
        len(history.unanswered),
        faults,
        ends,
        attempts,
        f"{outcome.seconds:.0f} s",
        len(outcome.problems),
    )
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
