"""Whether the server works, and what it is doing."""

from __future__ import annotations

from fastapi import APIRouter

import ecurie
from ecurie.api import schemas
from ecurie.api.deps import ServiceDep
from ecurie.errors import NotReady

router = APIRouter()


@router.get("/system")
def system(service: ServiceDep) -> schemas.SystemOut:
    error = service.catalog.error
    return schemas.SystemOut(
        version=ecurie.__version__,
        workers=[schemas.worker_out(worker) for worker in service.workers()],
        jobs=service.store.counts(),
        catalogue_error=None if error is None else str(error),
    )


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The API process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(service: ServiceDep) -> dict[str, str]:
    """A worker is ready to run jobs; 503 until then."""
    if not service.workers():
        raise NotReady(
            "no worker is ready yet", remedy="wait a few seconds; the server's log says why if not"
        )
    return {"status": "ready"}
