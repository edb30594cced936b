"""Plans about jobs and sweeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from ecurie.client.errors import ClientError, NotEnded, Unreachable
from ecurie.client.following import ENDED, PAUSE_SECONDS, Patience
from ecurie.client.plans import Ask, Pause, Plan, told

if TYPE_CHECKING:
    from ecurie.client.shapes import JobInfo, SweepInfo

T = TypeVar("T")
WAIT_SECONDS = 30.0
"""How long the server may keep a question open; proxies cut those that are open for a minute."""


def job(job_id: str, wait: float = 0.0) -> Plan[JobInfo]:
    """As it is when it has ended, or after so many seconds."""
    return told(Ask("GET", _job_path(job_id), {"wait": wait} if wait else {}, seconds=wait))


def cancelled(job_id: str) -> Plan[JobInfo]:
    return told(Ask("DELETE", _job_path(job_id), last_word=True))


def _job_path(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def until_ended(info: JobInfo, timeout: float | None) -> Plan[JobInfo]:
    """Raises NotEnded, or Unreachable when the server is away for a minute."""
    deadline = None if timeout is None else time.monotonic() + timeout
    patience = Patience()
    while info["state"] not in ENDED:
        left = WAIT_SECONDS if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise NotEnded(info)
        try:
            info = yield from job(info["id"], min(left, WAIT_SECONDS))
            patience.met()
        except Unreachable as error:
            patience.lost(error)
        if info["state"] not in ENDED:
            # A server that stops does not wait.
            yield Pause(min(left, PAUSE_SECONDS))
    return info


def or_cancelled(info: JobInfo, plan: Plan[T]) -> Plan[T]:
    """The plan; if it is left by an error, by Ctrl-C or by the task's cancelling, the job is cancelled."""
    try:
        return (yield from plan)
    except GeneratorExit:
        raise
    except BaseException:
        yield from given_up(info)
        raise


def given_up(info: JobInfo) -> Plan[None]:
    """Cancel the job, if that can be."""
    try:
        yield from cancelled(info["id"])
    except ClientError:
        pass


def sweep(sweep_id: str) -> Plan[SweepInfo]:
    return told(Ask("GET", f"/sweeps/{quote(sweep_id, safe='')}"))


def cancelled_sweep(sweep_id: str) -> Plan[SweepInfo]:
    return told(Ask("DELETE", f"/sweeps/{quote(sweep_id, safe='')}"))


def until_cells_ended(info: SweepInfo, timeout: float | None) -> Plan[SweepInfo]:
    """Raises as `until_ended`."""
    deadline = None if timeout is None else time.monotonic() + timeout
    for cell in info["cells"]:
        if cell["state"] not in ENDED:
            left = None if deadline is None else deadline - time.monotonic()
            yield from until_ended((yield from job(cell["job_id"])), left)
    return (yield from sweep(info["id"]))


def listed(path: str, name: str) -> Plan[list[Any]]:
    """The list that an answer holds under this name."""
    found: list[Any] = (yield from told(Ask("GET", path)))[name]
    return found
