"""What a key costs a request: `python -m bench.access`. CPU time of this process, so a busy machine changes
little. Prints Markdown."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Scope

from ecurie.access.keys import KeyStore
from ecurie.access.limits import Quotas, Rates
from ecurie.access.ring import KeyRing
from ecurie.access.signing import Signer
from ecurie.api.admission import Admission
from ecurie.domain import Allowance, Caller, Role
from ecurie.jobs.store import JobStore, New
from tests.unit.jobs.test_store import REQUEST

TIMES = 5000
JOBS = 2000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = JobStore(f"sqlite:///{Path(folder) / 'ecurie.db'}")
        print("| what | microseconds |\n|---|---|")
        for count in (1, 1000):
            _measure_keys(store, count)
        _measure_quotas(store)
        store.close()


def _measure_keys(store: JobStore, count: int) -> None:
    keys = KeyStore(store.database)
    for _ in range(count - 1 - len(keys.all())):
        keys.create("another", Role.USER)
    secret = keys.create("measured", Role.USER, Allowance(requests_per_minute=10**9)).secret
    ring = KeyRing(keys)
    ring.refresh()
    _tell(f"looking a key up among {count}", TIMES, lambda: ring.caller_of(secret.encode()))

    def read() -> None:
        ring.look_again()
        ring.refresh()

    _tell(f"reading {count} keys from SQLite, at most twice a second", 20, read)
    asyncio.run(_measure_admission(ring, secret, count))


async def _measure_admission(ring: KeyRing, secret: str, count: int) -> None:
    admission = Admission(ring, Rates(10), Signer(b"x" * 32, 3600))
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/jobs",
        "query_string": b"",
        "client": ("::1", 1),
    }
    headers = Headers({"authorization": f"Bearer {secret}"})
    began = time.process_time()
    for _ in range(TIMES):
        await admission.admit(scope, headers)
    _print(
        f"letting a request in, {count} keys, with all of this and the rate",
        TIMES,
        time.process_time() - began,
    )


def _measure_quotas(store: JobStore) -> None:
    by = Caller("measured", Role.USER, Allowance(queued_jobs=10**9, pixels_per_day=10**15))
    store.add_all([New(REQUEST, "")] * JOBS, priority=0, max_queue=JOBS, owner=by.owner)
    quotas = Quotas(store.database)

    def ask() -> None:
        with quotas.room_for(by, 1, 4096):
            pass

    _tell(f"what a key has left, with {JOBS} jobs of that day, all waiting", 50, ask)


def _tell(what: str, times: int, call: Callable[[], object]) -> None:
    began = time.process_time()
    for _ in range(times):
        call()
    _print(what, times, time.process_time() - began)


def _print(what: str, times: int, seconds: float) -> None:
    print(f"| {what} | {seconds / times * 1e6:,.1f} |")


if __name__ == "__main__":
    main()
