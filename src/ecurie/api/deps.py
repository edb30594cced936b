"""What routes get from the running application."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from ecurie.api.following import Following
from ecurie.domain import Caller
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


async def get_caller(request: Request) -> Caller:
    """Whom the guard has let in."""
    caller: Caller = request.state.caller
    return caller


ID = "0f8fad5bd9cb469fa16570867728950e"
JobId = Annotated[str, Path(description="A job's `id`.", examples=[ID])]
SweepId = Annotated[str, Path(description="A sweep's `id`.", examples=[ID])]
PictureId = Annotated[str, Path(description="The `id` of a picture that was sent.", examples=[ID])]
CallerDep = Annotated[Caller, Depends(get_caller)]
FollowingDep = Annotated[Following, Depends(get_following)]
ServiceDep = Annotated[Service, Depends(get_service)]
ForecastsDep = Annotated[Forecasts, Depends(get_forecasts)]
