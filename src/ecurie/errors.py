"""Every error that Écurie raises on purpose.

EcurieError
├── RequestError                 what was asked cannot be done; asking again changes nothing
│   ├── InvalidRequest           a field is wrong (422)
│   ├── MalformedBody            the body is not JSON (400)
│   ├── BodyTooLarge             (413)
│   ├── RequestTooSlow           the body was not here in time (408)
│   ├── NotBuiltYet              a field of a later release (422)
│   ├── UnknownModel             (404)
│   ├── UnknownPreset            (404)
│   ├── UnknownSampler           a sampler's name of the web UIs (400)
│   ├── UnknownJob               (404)
│   ├── UnknownSweep             (404)
│   ├── UnknownOutput            (404)
│   ├── UnknownPicture           no upload has this id (404)
│   ├── WeightsMissing           the catalogue knows the model, the disk does not (409)
│   ├── WeightsInvalid           files are there but are not what they should be (422)
│   ├── UnknownAdapter           (404)
│   ├── AdapterInvalid           the file is damaged or holds what cannot be (422)
│   ├── AdapterMismatch          the file was made for another kind of model (422)
│   ├── ManifestInvalid          an image or manifest that cannot be replayed (422)
│   ├── JobFinished              too late to cancel (409)
│   ├── JobStarted               too late to change its place in the queue (409)
│   ├── UnknownKey               no API key has this id (404)
│   ├── Unauthorized             no or wrong API key (401)
│   └── Forbidden                wrong Host or Origin, or not for this key (403)
├── ServiceError                 the service cannot do it now
│   ├── QueueFull                (429)
│   ├── LimitReached             a limit of the API key, or too many wrong keys (429)
│   ├── StorageFull              no room on the disk (507)
│   ├── StoreUnavailable         the job database does not answer (503)
│   ├── StorageUnavailable       the object store of images cannot be used now (503)
│   ├── DownloadFailed           files could not be had from where they are published (502)
│   └── NotReady                 no worker is alive yet (503)
├── SetupError                   the server or command cannot start as configured
│   ├── CatalogError             a mistake in the catalogue file, with its line
│   ├── SettingsError
│   ├── PortInUse
│   ├── DataFolderInUse          another server owns the data folder
│   └── UnsafeBind               a public address without an API key
└── JobError                     how a job ends without a picture
    ├── JobCancelled
    ├── JobInterrupted           the worker is stopping: the job goes back to the queue
    ├── WorkerDied               the worker died `max_attempts` times under this job
    ├── LeaseLost                another worker has taken the job over
    ├── WeightsDrifted           the live weights differ from base + stack (with verify_weights)
    ├── ImageNotFinite           the model produced NaN or infinity
    ├── OutOfMemory              at the last step of the memory ladder too
    └── GenerationFailed         anything unexpected, with the original message

What a client of a server meets is drawn in `client/errors.py`.

`code` is stable and meant for programs; the message says what was wrong and where; `remedy` says what to
do. `status` is the HTTP status where the error reaches a client.
"""

from __future__ import annotations

from collections.abc import Iterator


class EcurieError(Exception):
    """Base of all errors; `str(error)` is one readable sentence."""

    code: str = "error"
    status: int = 500
    title: str = "Internal error"

    def __init__(self, message: str, *, remedy: str | None = None):
        super().__init__(message)
        self.remedy = remedy

    @property
    def whole(self) -> str:
        """The message and what to do, in one line."""
        return f"{self}; {self.remedy}" if self.remedy else str(self)


class RequestError(EcurieError):
    """`field` names the wrong field of the request, where it is one."""

    status = 400

    def __init__(self, message: str, *, field: str | None = None, remedy: str | None = None):
        super().__init__(message, remedy=remedy)
        self.field = field


class InvalidRequest(RequestError):
    code, status, title = "invalid-request", 422, "The request is not valid"


class MalformedBody(RequestError):
    code, status, title = "malformed-body", 400, "The body is not valid JSON"


class BodyTooLarge(RequestError):
    code, status, title = "body-too-large", 413, "The body is too large"


class RequestTooSlow(RequestError):
    code, status, title = "request-too-slow", 408, "The request came too slowly"


class NotBuiltYet(RequestError):
    code, status, title = "not-built-yet", 422, "Not available in this release"


class UnknownModel(RequestError):
    code, status, title = "unknown-model", 404, "Unknown model"


class UnknownPreset(RequestError):
    code, status, title = "unknown-preset", 404, "Unknown preset"


class UnknownSampler(RequestError):
    code, status, title = "unknown-sampler", 400, "Unknown sampler"


class UnknownJob(RequestError):
    code, status, title = "unknown-job", 404, "Unknown job"


class UnknownSweep(RequestError):
    code, status, title = "unknown-sweep", 404, "Unknown sweep"


class UnknownOutput(RequestError):
    code, status, title = "unknown-output", 404, "Unknown output"


class UnknownPicture(RequestError):
    code, status, title = "unknown-picture", 404, "Unknown picture"


class WeightsMissing(RequestError):
    code, status, title = "weights-missing", 409, "The model's weights are not on this machine"


class WeightsInvalid(RequestError):
    code, status, title = "weights-invalid", 422, "The model's files cannot be used"


class UnknownAdapter(RequestError):
    code, status, title = "unknown-adapter", 404, "Unknown adapter"


class AdapterInvalid(RequestError):
    code, status, title = "adapter-invalid", 422, "The adapter file cannot be used"


class AdapterMismatch(RequestError):
    code, status, title = "adapter-mismatch", 422, "The adapter does not fit the model"


class ManifestInvalid(RequestError):
    code, status, title = "manifest-invalid", 422, "This cannot be replayed"


class JobFinished(RequestError):
    code, status, title = "job-finished", 409, "The job has already ended"


class JobStarted(RequestError):
    code, status, title = "job-started", 409, "The job has already started"


class UnknownKey(RequestError):
    code, status, title = "unknown-key", 404, "Unknown API key"


class Unauthorized(RequestError):
    code, status, title = "unauthorized", 401, "An API key is needed"


class Forbidden(RequestError):
    code, status, title = "forbidden", 403, "Refused"


class ServiceError(EcurieError):
    """`retry_after`: seconds until it is worth asking again, where that is known."""

    status = 503
    retry_after: float | None = None


class QueueFull(ServiceError):
    code, status, title = "queue-full", 429, "The queue is full"
    retry_after = 10


class LimitReached(ServiceError):
    code, status, title = "limit-reached", 429, "A limit is reached"

    def __init__(self, message: str, *, retry_after: int, remedy: str | None = None):
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class StorageFull(ServiceError):
    code, status, title = "storage-full", 507, "No room left on the disk"


class StoreUnavailable(ServiceError):
    code, status, title = "store-unavailable", 503, "The job store does not answer"
    retry_after = 10


class StorageUnavailable(ServiceError):
    code, status, title = "storage-unavailable", 503, "The storage of images cannot be used"


class DownloadFailed(ServiceError):
    code, status, title = "download-failed", 502, "The download failed"


class NotReady(ServiceError):
    code, status, title = "not-ready", 503, "Not ready"


class SetupError(EcurieError):
    code, title = "setup", "Cannot start"


class CatalogError(SetupError):
    code, title = "catalog-invalid", "The catalogue is not valid"


class SettingsError(SetupError):
    code, title = "settings-invalid", "A setting is not valid"


class PortInUse(SetupError):
    code, title = "port-in-use", "The port is in use"


class DataFolderInUse(SetupError):
    code, title = "data-folder-in-use", "The data folder is in use"


class UnsafeBind(SetupError):
    code, title = "unsafe-bind", "Refused to listen without an API key"


class JobError(EcurieError):
    code, title = "job-failed", "The job failed"


class JobCancelled(JobError):
    code, title = "cancelled", "Cancelled"


class JobInterrupted(JobError):
    code, title = "interrupted", "Interrupted"


class WorkerDied(JobError):
    code, title = "worker-died", "The worker died"


class LeaseLost(JobError):
    code, title = "lease-lost", "Taken over by another worker"


class WeightsDrifted(JobError):
    code, title = "weights-drifted", "The weights are not what they should be"


class ImageNotFinite(JobError):
    code, title = "image-not-finite", "The model produced NaN or infinite values"


class OutOfMemory(JobError):
    code, title = "out-of-memory", "Not enough memory"


class GenerationFailed(JobError):
    code, title = "generation-failed", "The generation failed"


def error_called(code: str, message: str, remedy: str | None) -> EcurieError:
    """The error that was stored as its code, message and remedy; GenerationFailed for an unknown code."""
    # Not those of the Python client, which have the same codes.
    known = {kind.code: kind for kind in _kinds(EcurieError) if kind.__module__ == __name__}
    return known.get(code, GenerationFailed)(message, remedy=remedy)


def _kinds(base: type[EcurieError]) -> Iterator[type[EcurieError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)
