"""Errors as answers: the one place where they meet HTTP.

Each becomes a problem document (RFC 9457); below the paths of SHAPES it is then told as clients of another
interface read it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ecurie.api.a1111 import errors as a1111_errors
from ecurie.api.openai import errors as openai_errors
from ecurie.api.problems import PROBLEM, Problem, from_validation, problem_of
from ecurie.errors import EcurieError, MalformedBody, ServiceError

log = logging.getLogger(__name__)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class ProblemResponse(JSONResponse):
    media_type = PROBLEM


Shape = Callable[[Problem], JSONResponse]
SHAPES: Mapping[str, Shape] = {
    "/v1/": openai_errors.shape,
    "/sdapi/": a1111_errors.error_answer,
    "/internal/": a1111_errors.error_answer,
}
"""By the beginning of the path."""
BASIC_PATHS = ("/sdapi/", "/internal/", "/app_id")
"""Whose clients log in as to AUTOMATIC1111, with HTTP Basic."""


def answer_to(error: EcurieError, path: str) -> Response:
    """What a client of this path gets."""
    told = problem_of(error)
    headers = {}
    if isinstance(error, ServiceError) and error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        basic = path.startswith(BASIC_PATHS)
        headers["WWW-Authenticate"] = 'Basic realm="Ecurie", charset="UTF-8"' if basic else "Bearer"
    return _shaped(told, path, headers)


def _methods_of(request: Request) -> list[str]:
    """Those of a path: each has a route of its own, and Starlette tells those of the first."""
    routes = request.app.router.routes
    asked = ({**request.scope, "method": method} for method in METHODS)
    return [each["method"] for each in asked if any(route.matches(each)[0] is Match.FULL for route in routes)]


def _shaped(told: Problem, path: str, headers: Mapping[str, str]) -> Response:
    shape = next((shape for start, shape in SHAPES.items() if path.startswith(start)), _document)
    answer = shape(told)
    answer.headers.update(headers)
    return answer


def _document(told: Problem) -> JSONResponse:
    return ProblemResponse(told.model_dump(exclude_none=True), told.status)


def add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(EcurieError)
    async def known(request: Request, error: EcurieError) -> Response:
        return answer_to(error, request.scope["path"])

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return answer_to(from_validation(error.errors()), request.scope["path"])

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:
            # What FastAPI says of JSON that is nested too deeply, or has a number that is too long.
            return answer_to(MalformedBody("the body cannot be read as JSON"), request.scope["path"])
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods_of(request))
        told = Problem(
            type="about:blank",
            title=str(error.detail),
            status=error.status_code,
            detail=str(error.detail),
            code=f"http-{error.status_code}",
        )
        return _shaped(told, request.scope["path"], headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected error", exc_info=error)
        told = EcurieError("an unexpected error happened; the server's log has the details")
        return answer_to(told, request.scope["path"])
