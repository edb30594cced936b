from __future__ import annotations

import subprocess
import sys
from typing import Any, Literal

import pytest

from ecurie.errors import SettingsError
from ecurie.machine import COUNT, cuda_devices, usable_cores
from ecurie.settings import load_settings
from ecurie.shares import Machine, share_out

GB = 10**9


def shares(
    workers: int | Literal["auto"],
    device: str = "auto",
    cuda: int = 0,
    cores: int = 8,
    threads: int | None = None,
) -> list[dict[str, str]]:
    return share_out(workers, device, threads, Machine(lambda: cuda, lambda: cores, lambda: 20 * GB))


def on_cuda(*numbers: int) -> list[dict[str, str]]:
    budget = str(20 * GB // len(numbers))
    return [{"ECURIE_RAM_BUDGET": budget, "ECURIE_DEVICE": f"cuda:{number}"} for number in numbers]


def on_cpu(count: int, threads: int) -> list[dict[str, str]]:
    return [{"ECURIE_RAM_BUDGET": str(20 * GB // count), "ECURIE_THREADS": str(threads)}] * count


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"workers": "auto"}, [{}]),
        ({"workers": "auto", "cuda": 1}, [{}]),
        ({"workers": "auto", "cuda": 4}, on_cuda(0, 1, 2, 3)),
        ({"workers": "auto", "cuda": 2, "device": "cuda"}, on_cuda(0, 1)),
        ({"workers": "auto", "cuda": 2, "device": "cuda:1"}, [{}]),
        ({"workers": "auto", "cuda": 2, "device": "cpu"}, [{}]),
        ({"workers": "auto", "device": "mps"}, [{}]),
        ({"workers": 1, "cuda": 2}, [{}]),
        ({"workers": 2, "cuda": 4}, on_cuda(0, 1)),
        ({"workers": 2}, on_cpu(2, 4)),
        ({"workers": 3}, on_cpu(3, 2)),
        ({"workers": 16}, on_cpu(16, 1)),
        ({"workers": 2, "threads": 7}, on_cpu(2, 7)),
        ({"workers": 2, "cuda": 2, "device": "cpu"}, on_cpu(2, 4)),
        ({"workers": 0}, []),
    ],
)
def test_every_worker_gets_its_share(asked: dict[str, Any], expected: list[dict[str, str]]) -> None:
    assert shares(**asked) == expected


def test_more_workers_than_cuda_devices_are_refused() -> None:
    with pytest.raises(SettingsError, match="has 2 CUDA devices") as caught:
        shares(3, cuda=2)
    assert "--device cpu" in str(caught.value.remedy)


def test_one_worker_asks_nothing_of_the_machine() -> None:
    def never() -> int:
        raise AssertionError("counting takes seconds")

    assert share_out(1, "auto", None, Machine(never, never, never)) == [{}]
    assert share_out("auto", "cpu", None, Machine(never, never, never)) == [{}]


def test_the_count_is_that_of_torch() -> None:
    shown = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    assert cuda_devices() == int(shown.stdout)
    assert usable_cores() >= 1


@pytest.mark.parametrize(
    ("given", "device", "workers"),
    [({"device": "cuda:3", "workers": "2"}, "cuda:3", 2), ({"workers": "auto"}, "auto", "auto")],
)
def test_a_worker_sees_its_device_and_number(
    given: dict[str, str], device: str, workers: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in load_settings(**given).as_environment().items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.device, settings.workers) == (device, workers)


@pytest.mark.parametrize(
    "given", [{"device": "cuda:"}, {"device": "cuda:x"}, {"workers": "-1"}, {"workers": "many"}]
)
def test_other_devices_and_numbers_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=f"--{next(iter(given))}"):
        load_settings(**given)
