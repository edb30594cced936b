"""Errors as answers: the one place where they meet HTTP.

Each becomes a problem document (RFC 9457); below the paths of SHAPES it is then told as clients of another
interface read it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ecurie.errors import EcurieError, InvalidRequest, MalformedBody, ServiceError

log = logging.getLogger(__name__)
MOST_TOLD = 2_000
"""Characters."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


PROBLEM = "application/problem+json"


class Problem(BaseModel):
    """RFC 9457, with the stable `code` and, where there is one, the wrong `field` and the `remedy`."""

    type: str = Field(examples=["urn:ecurie:unknown-model"])
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    remedy: str | None = None


class ProblemResponse(JSONResponse):
    media_type = PROBLEM


Shape = Callable[[Problem], JSONResponse]
PLACES = (("body",), ("query",), ("path",), ("header",))
"""Where FastAPI says that a field was."""
SHAPES: dict[str, Shape] = {}
"""By the beginning of the path."""
BASIC_PATHS = ("/sdapi/", "/internal/", "/app_id")
"""Whose clients log in as to AUTOMATIC1111, with HTTP Basic."""


def problem_of(error: EcurieError) -> Problem:
    return Problem(
        type=f"urn:ecurie:{error.code}",
        title=error.title,
        status=error.status,
        # Of what a client sent it need not get everything back.
        detail=_cut(str(error), MOST_TOLD),
        code=error.code,
        field=getattr(error, "field", None),
        remedy=error.remedy and _cut(error.remedy, MOST_TOLD),
    )


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


def from_validation(errors: Sequence[Any]) -> EcurieError:
    """The first mistake, named by its field; the rest counted."""
    first = errors[0]
    if first["type"] == "json_invalid":
        place = f", at character {first['loc'][-1]}" if isinstance(first["loc"][-1], int) else ""
        return MalformedBody(f"the body is not valid JSON: {first['ctx']['error']}{place}")
    where = first["loc"][1:] if first["loc"][:1] in PLACES else first["loc"]
    name = _cut(".".join(map(str, where)) or "body", 100)
    reason = {"extra_forbidden": "unknown field", "missing": "is missing"}.get(first["type"], first["msg"])
    given = first.get("input")
    if isinstance(given, int | float | str | None) and first["type"] not in ("extra_forbidden", "missing"):
        reason += f" (got {_shortened(given)})"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    remedy = "docs/api.md lists every field" if first["type"] == "extra_forbidden" else None
    return InvalidRequest(f"{name}: {reason.removeprefix('Value error, ')}{more}", field=name, remedy=remedy)


def _shortened(value: object) -> str:
    return _cut(repr(value), 40)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


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
