"""What routes get from the running application."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from ecurie.service import Service

POLL_SECONDS = 0.05


def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]
