"""Getting all files of a catalogue entry: asked for, counted, and brought here one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ecurie.catalog.downloads.civitai import plan_civitai
from ecurie.catalog.downloads.http import Http
from ecurie.catalog.downloads.hub import plan_hub
from ecurie.catalog.downloads.patience import Passing, Patience, Pause
from ecurie.catalog.downloads.plan import Plan, RemoteFile
from ecurie.catalog.downloads.receiver import Listen
from ecurie.catalog.downloads.room import check_room
from ecurie.catalog.downloads.transfer import fetch_file, partial_of
from ecurie.catalog.sources import CivitaiSource, HubSource, RemoteSource, place_of

LISTEN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Publishers:
    """Where to ask. `hub` None: what HF_ENDPOINT says. `plain_http` are hosts (`name:port`) without TLS."""

    civitai: str
    civitai_token: str | None = None
    hub: str | None = None
    plain_http: frozenset[str] = frozenset()


class Downloader:
    """Brings sources under `models_dir`. `received` counts the bytes of files that came."""

    def __init__(self, models_dir: Path, publishers: Publishers):
        self._models_dir, self._publishers = models_dir, publishers
        self.received = 0

    def _http(self) -> Http:
        return Http(self._publishers.plain_http, self._count)

    def _count(self, received: int) -> None:
        self.received += received

    def plan(self, source: RemoteSource, *, pin: bool = False) -> Plan:
        """What there is to get. With `pin` the plan's source names one revision.

        Raises DownloadFailed or InvalidRequest.
        """
        with self._http() as http:
            return self._plan(source, http, pin=pin)

    def fetch(self, sources: Iterable[RemoteSource], listen: Listen) -> None:
        """Get every file of the sources that is not here; `listen` is told the bytes of all together.

        Raises DownloadFailed, StorageFull, WeightsInvalid, InvalidRequest, or what `listen` raises.
        """
        with self._http() as http:
            listen(0, None)
            pause = _Counter([], listen).pause
            plans = [self._patient_plan(source, http, pause) for source in sources]
            self._bring([file for plan in plans for file in plan.files], http, listen)

    def fetch_plan(self, plan: Plan, listen: Listen) -> None:
        """Like `fetch`, for a plan that was made before."""
        with self._http() as http:
            self._bring(list(plan.files), http, listen)

    def _patient_plan(self, source: RemoteSource, http: Http, pause: Pause) -> Plan:
        patience = Patience(pause)
        while True:
            try:
                return self._plan(source, http, pin=False)
            except Passing as fault:
                patience.wait(fault)

    def _plan(self, source: RemoteSource, http: Http, *, pin: bool) -> Plan:
        publishers = self._publishers
        if isinstance(source, HubSource):
            return plan_hub(source, self._models_dir, pin=pin, endpoint=publishers.hub)
        if isinstance(source, CivitaiSource):
            return plan_civitai(
                source,
                self._models_dir,
                http,
                endpoint=publishers.civitai,
                token=publishers.civitai_token,
            )
        place = place_of(source, self._models_dir)
        file = RemoteFile(source.name, source.url, place, None, source.sha256)
        return Plan(f"{source.url}#sha256={source.sha256}", place, (file,), name=Path(source.name).stem)

    def _bring(self, files: list[RemoteFile], http: Http, listen: Listen) -> None:
        missing = [file for file in files if not file.place.exists()]
        check_room(
            missing[0].name if len(missing) == 1 else f"this download of {len(missing)} files",
            self._models_dir,
            sum((file.bytes or 0) - _bytes_of(partial_of(file.place)) for file in missing if file.bytes),
        )
        counter = _Counter(missing, listen)
        for file in missing:
            fetch_file(file, http, self._models_dir / ".locks", counter, counter.pause)
            counter.next(file)


def _bytes_of(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


class _Counter:
    """Adds the files up for the listener, and keeps it told while nothing comes."""

    def __init__(self, files: list[RemoteFile], listen: Listen):
        self._listen = listen
        self._done, self._here = 0, 0
        told = [file.bytes for file in files if file.bytes is not None]
        self._total = sum(told) if len(told) == len(files) else None

    def __call__(self, here: int, total: int | None) -> None:
        self._here = here
        self._listen(self._done + here, self._total if self._total is not None else self._one(total))

    def _one(self, total: int | None) -> int | None:
        """The only file may tell its length when it comes."""
        return total if self._done == 0 else None

    def next(self, file: RemoteFile) -> None:
        self._done += file.place.stat().st_size

    def pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self(self._here, None)
            time.sleep(min(left, LISTEN_SECONDS))
