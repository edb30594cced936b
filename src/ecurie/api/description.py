"""What `GET /openapi.json` tells: FastAPI's description of the routes, and of what any of them may answer."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ecurie.api.admission import OPEN_PATHS
from ecurie.api.problems import PROBLEM, Problem

RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}}
CHALLENGE = {"WWW-Authenticate": {"description": "How to sign in.", "schema": {"type": "string"}}}
ALLOW = {"Allow": {"description": "The methods of this path.", "schema": {"type": "string"}}}
ERRORS = {
    400: "The body is not JSON, or holds too many values",
    401: "An API key is needed, and no valid one was sent",
    403: "Wrong Host or Origin, or not for this API key",
    404: "Unknown model, adapter, job, output or picture",
    405: "The path has other methods",
    408: "The body did not arrive in time",
    409: "The weights are missing, or the job has ended",
    413: "The body is too large",
    422: "A field is wrong",
    429: "The queue is full, or a limit of the API key is reached",
    500: "A fault of the server",
    503: "Too many connections, or what jobs or images are kept in does not answer",
    507: "No room on the disk",
}
HEADERS: dict[int, dict[str, Any]] = {401: CHALLENGE, 405: ALLOW, 429: RETRY, 503: RETRY}
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        **({"headers": HEADERS[status]} if status in HEADERS else {}),
    }
    for status, description in ERRORS.items()
}


KEY = "Where keys are in force (docs/security.md)."
SECURITY_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": KEY},
    "password": {"type": "http", "scheme": "basic", "description": f"Any name, the key as password. {KEY}"},
}


class DescribedApp(FastAPI):
    """The schema of problems is put in by hand: as a response's model it would get the media type of the
    route's own answer. So are the ways to sign in, which the guard asks for and not the routes."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            told = super().openapi()
            told["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            told["components"]["securitySchemes"] = SECURITY_SCHEMES
            told["security"] = [{name: []} for name in SECURITY_SCHEMES]
            for path in OPEN_PATHS.intersection(told["paths"]):
                for operation in told["paths"][path].values():
                    operation["security"] = []
        assert self.openapi_schema is not None
        return self.openapi_schema
