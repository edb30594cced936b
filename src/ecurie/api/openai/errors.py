"""Errors as OpenAI's clients read them: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from ecurie.api.description import ERROR_RESPONSES
from ecurie.api.problems import Problem

STATUSES = {"cancelled": 409}
"""By code, where the client should see another than ours; 422 is 400 to OpenAI's clients."""
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
"""OpenAI's, by status."""
CODES_OF_OURS = {"unknown-model": "model_not_found", "http-404": "unknown_url"}
FIELDS = {"unknown-model": "model"}
NOWHERE = "nothing is served here; there are /v1/models, /v1/images/generations and /v1/images/edits"


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorOut(BaseModel):
    """`param` is the wrong field."""

    error: ErrorBody


def status_of(told: Problem) -> int:
    return STATUSES.get(told.code, 400 if told.status == 422 else told.status)


def error_out(told: Problem) -> ErrorOut:
    status = status_of(told)
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    message = NOWHERE if told.code == "http-404" else told.detail
    return ErrorOut(
        error=ErrorBody(
            message=f"{message}; {told.remedy}" if told.remedy else message,
            type=kind,
            param=told.field or FIELDS.get(told.code),
            code=CODES.get(status) or CODES_OF_OURS.get(told.code, told.code),
        )
    )


def shape(told: Problem) -> JSONResponse:
    """OpenAI's SDKs send a request again after 408, 409, 429 and 5xx if they are not told otherwise. A job
    that has run and failed would fail again."""
    status = status_of(told)
    nothing_was_queued = status == 429 or told.code == "store-unavailable"
    headers = {} if nothing_was_queued else {"x-should-retry": "false"}
    return JSONResponse(error_out(told).model_dump(), status, headers)


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorOut, "description": told["description"]}
    for status, told in ERROR_RESPONSES.items()
}
"""For the description of the routes."""
