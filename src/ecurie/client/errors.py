"""Every error that the client raises on purpose; each is an EcurieError as well.

ClientError
├── ServerError                  the server says no: `code`, `status`, `field` and `remedy` are its own
│   ├── Refused                  what was asked cannot be done; asking again changes nothing
│   └── Unavailable              the server cannot do it now; `retry_after` says when to ask again
├── Unreachable                  nobody answers, or not as Écurie does
├── JobFailed                    a job has ended without a picture
├── JobCancelled                 somebody cancelled it
└── NotEnded                     it goes on; a TimeoutError
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecurie.errors import EcurieError, JobError, RequestError, ServiceError

if TYPE_CHECKING:
    from ecurie.client.shapes import JobInfo


class ClientError(EcurieError):
    pass


class ServerError(ClientError):
    """An answer that is a problem document (RFC 9457). `code` is stable and meant for programs; `status` is
    the HTTP status, `field` the wrong field of the request, where it is one."""

    def __init__(self, message: str, *, code: str, status: int, field: str | None, remedy: str | None):
        super().__init__(message, remedy=remedy)
        self.code, self.status, self.field = code, status, field


class Refused(ServerError, RequestError):
    pass


class Unavailable(ServerError, ServiceError):
    """`retry_after`: seconds after which the server wants to be asked again; None: it does not say."""

    retry_after: float | None = None


class Unreachable(ClientError, ServiceError):
    code, title = "server-unreachable", "No server answers"


class _JobProblem(ClientError, JobError):
    """`job` is the server's word on the job, as docs/api.md describes it."""

    def __init__(self, message: str, job: JobInfo, *, remedy: str | None = None):
        super().__init__(message, remedy=remedy)
        self.job = job


class JobFailed(_JobProblem):
    """`code` is the one of the job's error."""

    def __init__(self, job: JobInfo):
        error = job["error"]
        assert error is not None
        super().__init__(error["message"], job, remedy=error.get("remedy"))
        self.code = error["code"]


class JobCancelled(_JobProblem):
    code, title = "cancelled", "Cancelled"

    def __init__(self, job: JobInfo):
        super().__init__(f"job {job['id']} was cancelled", job)


class NotEnded(_JobProblem, TimeoutError):
    code, title = "not-ended", "The job goes on"

    def __init__(self, job: JobInfo):
        super().__init__(f"job {job['id']} has not ended ({job['state']})", job, remedy="wait for it longer")
