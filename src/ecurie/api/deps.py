"""What routes get from the running application."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from ecurie.api.following import Following
from ecurie.service import Service


def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def get_following(request: Request) -> Following:
    following: Following = request.app.state.following
    return following


FollowingDep = Annotated[Following, Depends(get_following)]
ServiceDep = Annotated[Service, Depends(get_service)]
