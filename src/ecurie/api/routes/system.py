"""Whether the server works, and what it is doing."""

from __future__ import annotations

from fastapi import APIRouter

import ecurie
from ecurie.api import schemas
from ecurie.api.deps import CallerDep, ServiceDep
from ecurie.api.description import ERROR_RESPONSES
from ecurie.errors import NotReady

router = APIRouter()


@router.get("/system")
def system(service: ServiceDep, caller: CallerDep) -> schemas.SystemOut:
    """Users are told what they can expect; of machines, and of others' jobs and adapters, only admins."""
    error = service.catalog.error if caller.is_admin else None
    tell = schemas.worker_out if caller.is_admin else schemas.worker_for_users
    return schemas.SystemOut(
        version=ecurie.__version__,
        workers=[tell(worker) for worker in service.workers()],
        jobs=service.store.counts(),
        catalogue_error=None if error is None else str(error),
    )


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The API process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: ERROR_RESPONSES[503] | {"description": "No worker is ready yet"}})
def readyz(service: ServiceDep) -> dict[str, str]:
    """A worker is ready to run jobs; 503 until then."""
    if not service.workers():
        raise NotReady(
            "no worker is ready yet", remedy="wait a few seconds; the server's log says why if not"
        )
    return {"status": "ready"}
