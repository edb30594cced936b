"""Errors as clients of this API read them, and jobs without pictures as errors."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ecurie.api.problems import Problem


class ErrorOut(BaseModel):
    """`detail` is the whole message with what to do; `errors` the message alone."""

    error: str = Field(examples=["unknown-model"])
    detail: str
    body: str = ""
    errors: str


def error_answer(problem: Problem) -> JSONResponse:
    whole = f"{problem.detail}; {problem.remedy}" if problem.remedy else problem.detail
    told = ErrorOut(error=problem.code, detail=whole, errors=problem.detail)
    return JSONResponse(told.model_dump(), problem.status)


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorOut, "description": description}
    for status, description in {
        400: "The body is not JSON, or the sampler is not known",
        401: "An API key is needed, as the password of HTTP Basic or as a bearer",
        403: "Wrong Host or Origin",
        404: "Unknown model or adapter",
        409: "The weights are missing",
        413: "The body is too large",
        422: "A field is wrong, or asks for what is not there",
        429: "The queue is full, or a limit of the API key is reached",
        500: "The job failed",
        503: "The server stops",
        507: "No room on the disk",
    }.items()
}
