"""Drawing, options and progress for clients of AUTOMATIC1111's web UI."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from ecurie.api.a1111.answers import GenerationOut
from ecurie.api.a1111.bodies import Img2ImgBody, OptionsBody, PictureBody, TaskBody, Txt2ImgBody
from ecurie.api.a1111.errors import RESPONSES
from ecurie.api.a1111.generation import Visit
from ecurie.api.a1111.options import changes, checked, client_of, shown
from ecurie.api.a1111.png_info import PngInfoOut, png_info_out
from ecurie.api.a1111.progress import ProgressOut, TaskOut, progress_out, task_out
from ecurie.api.deps import CallerDep, FollowingDep, ForecastsDep, ServiceDep
from ecurie.api.waiting import cancel
from ecurie.errors import NotBuiltYet
from ecurie.requests.pictures import decode_picture

TAG = "AUTOMATIC1111"
router = APIRouter(tags=[TAG], responses=RESPONSES)


async def get_visit(
    service: ServiceDep, caller: CallerDep, following: FollowingDep, request: Request
) -> Visit:
    state = request.app.state
    return Visit(
        service=service,
        caller=caller,
        client=client_of(request, caller),
        options=state.client_options,
        running=state.running,
        following=following,
        request=request,
    )


VisitDep = Annotated[Visit, Depends(get_visit)]


@router.post("/sdapi/v1/txt2img", response_model=GenerationOut)
async def txt2img(body: Txt2ImgBody, visit: VisitDep) -> Response:
    """Draw images; the answer comes when they are there. A client that leaves cancels them."""
    return await visit.draw(body, "txt2img")


@router.post("/sdapi/v1/img2img", response_model=GenerationOut)
async def img2img(body: Img2ImgBody, visit: VisitDep) -> Response:
    """Likewise from pictures, inside a mask if there is one."""
    return await visit.draw(body, "img2img")


@router.get("/sdapi/v1/options")
def read_options(visit: VisitDep) -> dict[str, Any]:
    """The client's own options."""
    return shown(visit.options.of(visit.client), visit.service.catalog)


@router.post("/sdapi/v1/options")
def set_options(body: OptionsBody, visit: VisitDep) -> None:
    """Remember options for this client's coming requests; other options than these are ignored."""
    catalog = visit.service.catalog
    before = shown(visit.options.of(visit.client), catalog)
    visit.options.change(visit.client, changes(checked(body, catalog), before))


@router.get("/sdapi/v1/progress")
def progress(visit: VisitDep, forecasts: ForecastsDep, skip_current_image: bool = False) -> ProgressOut:
    """Of the client's own request that is drawn now, or waits first."""
    asked = visit.running.current(visit.client, visit.service, visit.caller)
    return progress_out(asked, forecasts, with_image=not skip_current_image)


@router.post("/internal/progress")
def task_progress(body: TaskBody, visit: VisitDep, forecasts: ForecastsDep) -> TaskOut:
    """Of the client's request with this `force_task_id`."""
    asked = visit.running.named(body.id_task, visit.client, visit.service, visit.caller)
    ended = asked is None and visit.running.has_ended(body.id_task, visit.client)
    return task_out(asked, ended, body.id_live_preview, forecasts)


@router.post("/sdapi/v1/interrupt")
def interrupt(visit: VisitDep) -> dict[str, Any]:
    """Cancel what `progress` shows. Its request is answered with the images that are finished."""
    if asked := visit.running.current(visit.client, visit.service, visit.caller):
        asked.interrupted = True
        cancel(asked.jobs, visit.service, visit.caller)
    return {}


@router.post("/sdapi/v1/skip")
def skip(visit: VisitDep) -> None:
    """Cancel the job that `progress` shows; a request of more than one goes on with the next."""
    if asked := visit.running.current(visit.client, visit.service, visit.caller):
        asked.skipped = True
        cancel([asked.current], visit.service, visit.caller)


@router.post("/sdapi/v1/png-info")
def png_info(body: PictureBody, service: ServiceDep, caller: CallerDep) -> PngInfoOut:
    """What a PNG, WebP or JPEG picture tells of how it was made."""
    return png_info_out(decode_picture(body.image.strip(), "image", service.pictures(caller)))


@router.post("/sdapi/v1/extra-single-image")
@router.post("/sdapi/v1/extra-batch-images")
def extras() -> None:
    """Refused: there are no upscalers of their own and no face restorers."""
    raise NotBuiltYet(
        "pictures are not enlarged by models of their own here, and faces not restored",
        remedy="send the picture to img2img with a larger width and height and a low denoising_strength",
    )


@router.post("/sdapi/v1/interrogate")
def interrogate() -> None:
    """Refused: nothing here describes pictures."""
    raise NotBuiltYet(
        "there is no model here that describes pictures",
        remedy="png-info tells the prompt of a picture that was made here",
    )
