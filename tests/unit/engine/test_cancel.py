"""A job that is stopped, in whatever it was doing, leaves nothing behind."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import GenerationRequest, Progress
from ecurie.engine.devices import Compute
from ecurie.engine.engine import Engine
from ecurie.engine.placement import parts_of
from ecurie.engine.prompt_cache import PromptCache
from ecurie.engine.residency import Budgets
from ecurie.errors import JobCancelled
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.requests.body import GenerateBody
from ecurie.requests.resolve import resolve
from tests.unit.conftest import ignore
from tests.unit.ip_adapters import DRAWN

PHASES = ["loading model", "applying adapters", "encoding prompt", "denoising", "enlarging", "decoding"]
PHASES += ["encoding picture"]


def request(**fields: object) -> GenerationRequest:
    body = {"prompt": "red apple", "seed": 7, "steps": 2, **fields}
    return resolve(GenerateBody.model_validate(body), Catalog(BUILTIN["demo"], Path("nowhere")), 10**9, DRAWN)


STOPPED = request(
    model="pony-xl-v6",
    loras=[{"name": "style-anime"}, {"name": "character-detailed", "weight": 0.6}],
    hires={"scale": 1.5, "steps": 4, "strength": 0.5},
    reference_images=["octopus"],
)
OTHER = request(loras=[{"name": "ink-sketch"}])
JOBS = itertools.count()


class Watch:
    """Follows a job by what it tells and asks, and stops it at one of these calls."""

    def __init__(self, stop_at: int | None = None):
        self._stop_at = stop_at
        self.phases: list[str] = []
        self._phase = ""

    def listen(self, progress: Progress) -> None:
        self._phase = progress.phase
        self.check()

    def check(self) -> None:
        self.phases.append(self._phase)
        if len(self.phases) - 1 == self._stop_at:
            raise JobCancelled("stop")


def made(engine: Engine, folder: Path, wanted: GenerationRequest) -> bytes:
    outputs = OutputFolder(LocalFolder(folder), f"{next(JOBS)}", datetime.now(UTC))
    (image,) = engine.run(wanted, outputs, ignore).images
    content = (folder / image.filename).read_bytes()
    (folder / image.filename).unlink()
    return content


def forget_encoded(engine: Engine) -> None:
    """What was encoded before need not be again, and then there are fewer moments to stop at."""
    engine._prompts = PromptCache()
    engine._references.clear()


def new_engine(compute: Compute) -> Engine:
    """With room for one model, so the stopped job takes over the memory of the one before."""
    return Engine(compute, Budgets(10**12, 10**12, models=1))


@pytest.fixture(scope="module")
def expected(compute: Compute, tmp_path_factory: pytest.TempPathFactory) -> dict[GenerationRequest, bytes]:
    """What an engine makes that was never stopped."""
    folder = tmp_path_factory.mktemp("expected")
    return {wanted: made(new_engine(compute), folder, wanted) for wanted in (STOPPED, OTHER)}


@pytest.fixture(scope="module")
def engine(compute: Compute) -> Engine:
    return new_engine(compute)


@pytest.fixture(scope="module")
def calls(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The phase of every moment at which the job may be stopped."""
    folder = tmp_path_factory.mktemp("calls")
    made(engine, folder, OTHER)
    forget_encoded(engine)
    watch = Watch()
    outputs = OutputFolder(LocalFolder(folder), "calls", datetime.now(UTC))
    engine.run(STOPPED, outputs, watch.listen, check=watch.check)
    return watch.phases


def test_a_job_may_be_stopped_often_in_every_phase(calls: list[str]) -> None:
    assert set(PHASES) <= set(calls)
    assert min(calls.count(phase) for phase in PHASES) >= 2


@pytest.mark.parametrize(
    ("phase", "share"),
    [*((phase, 0.5) for phase in PHASES), *itertools.product(PHASES[:2], (0.0, 1.0))],
)
def test_a_stopped_job_leaves_nothing(
    phase: str,
    share: float,
    calls: list[str],
    expected: dict[GenerationRequest, bytes],
    engine: Engine,
    tmp_path: Path,
) -> None:
    """Each case goes on with the engine of the one before; the other model leaves for the stopped job's."""
    places = [number for number, found in enumerate(calls) if found == phase]
    watch = Watch(places[round(share * (len(places) - 1))])
    assert made(engine, tmp_path, OTHER) == expected[OTHER]
    forget_encoded(engine)
    outputs = OutputFolder(LocalFolder(tmp_path), "stopped", datetime.now(UTC))
    with pytest.raises(JobCancelled):
        engine.run(STOPPED, outputs, watch.listen, check=watch.check)
    assert watch.phases[-1] == phase
    assert list(tmp_path.iterdir()) == []
    for resident in engine._residency._models.values():
        assert (resident.users, resident.model.patcher.drifted()) == (0, [])
        modules = [module for part in parts_of(resident.model).values() for module in part.modules()]
        assert not any(module._forward_pre_hooks for module in modules)
    assert made(engine, tmp_path, STOPPED) == expected[STOPPED]
