"""What routes get from the running application."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from ecurie.api.admission import Admitted
from ecurie.api.following import Following
from ecurie.api.links import Links
from ecurie.domain import Caller
from ecurie.errors import Forbidden
from ecurie.jobs.forecasts import Forecasts
from ecurie.service import Service


# Without `async` FastAPI would look these up in threads, which takes longer than all else about them.
async def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def get_forecasts(request: Request) -> Forecasts:
    forecasts: Forecasts = request.app.state.forecasts
    return forecasts


async def get_following(request: Request) -> Following:
    following: Following = request.app.state.following
    return following


async def get_admitted(request: Request) -> Admitted:
    """Whom the guard has let in, and how."""
    admitted: Admitted = request.state.admitted
    return admitted


AdmittedDep = Annotated[Admitted, Depends(get_admitted)]


async def get_caller(admitted: AdmittedDep) -> Caller:
    return admitted.caller


ID = "0f8fad5bd9cb469fa16570867728950e"
JobId = Annotated[str, Path(description="A job's `id`.", examples=[ID])]
SweepId = Annotated[str, Path(description="A sweep's `id`.", examples=[ID])]
PictureId = Annotated[str, Path(description="The `id` of a picture that was sent.", examples=[ID])]
CallerDep = Annotated[Caller, Depends(get_caller)]


async def get_admin(caller: CallerDep) -> Caller:
    """For routes that are admins' only. Raises Forbidden."""
    if not caller.is_admin:
        raise Forbidden("this needs an admin's API key")
    return caller


async def get_links(request: Request, admitted: AdmittedDep) -> Links:
    return Links(request.app.state.signer if admitted.keyed else None)


AdminDep = Annotated[Caller, Depends(get_admin)]
LinksDep = Annotated[Links, Depends(get_links)]
FollowingDep = Annotated[Following, Depends(get_following)]
ServiceDep = Annotated[Service, Depends(get_service)]
ForecastsDep = Annotated[Forecasts, Depends(get_forecasts)]
