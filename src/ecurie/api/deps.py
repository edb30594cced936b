"""What routes get from the running application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request

from ecurie.api.following import Following
from ecurie.service import Service


# Without `async` FastAPI would look these two up in a thread, which takes longer than all else about them.
async def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def get_following(request: Request) -> Following:
    following: Following = request.app.state.following
    return following


def get_workers(request: Request) -> list[dict[str, Any]]:
    ready_workers: Callable[[], list[dict[str, Any]]] = request.app.state.ready_workers
    return ready_workers()


FollowingDep = Annotated[Following, Depends(get_following)]
ServiceDep = Annotated[Service, Depends(get_service)]
WorkersDep = Annotated[list[dict[str, Any]], Depends(get_workers)]
