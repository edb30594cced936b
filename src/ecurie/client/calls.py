"""What both clients can do."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack
from urllib.parse import quote

from ecurie.client import asking
from ecurie.client.handles import ImageCalls, JobCalls, PictureCalls, Result, SweepCalls
from ecurie.client.pictures import content_of, uploaded, with_uploads
from ecurie.client.plans import Ask, Plan, call, told

if TYPE_CHECKING:
    from ecurie.client import shapes
    from ecurie.client.shapes import Fields, Picture

J = TypeVar("J", bound=JobCalls[Any])
S = TypeVar("S", bound=SweepCalls[Any, Any])
I = TypeVar("I", bound=ImageCalls)  # noqa: E741
G = TypeVar("G", bound=PictureCalls)


class ClientCalls(Generic[J, S, I, G]):
    """Every call raises Unreachable when nobody answers, Refused and Unavailable with what the server says.

    `patience`: for how many seconds a request waits when the server says that it should come again later (a
    full queue, a limit on requests). A request that got no answer is not sent again.
    """

    patience: float

    @call
    def generate(
        self, prompt: str, *, timeout: float | None = None, **fields: Unpack[Fields]
    ) -> Plan[Result[I]]:
        """Draw, and wait for the images.

        Left by Ctrl-C, by the task's cancelling or after `timeout` seconds, the job is cancelled.
        Raises JobFailed and JobCancelled as well.
        """
        return (yield from self._finished((yield from self._submitted(prompt, fields)), timeout))

    @call
    def submit(self, prompt: str, **fields: Unpack[Fields]) -> Plan[J]:
        """Queue a request. Pictures that are files here, bytes or Pillow images are uploaded."""
        return self._job((yield from self._submitted(prompt, fields)))

    def _submitted(self, prompt: str, fields: Mapping[str, Any]) -> Plan[shapes.JobInfo]:
        body = {"prompt": prompt, **(yield from with_uploads(fields))}
        info: shapes.JobInfo = yield from told(Ask("POST", "/generate", json=body), self.patience)
        return info

    def _finished(self, info: shapes.JobInfo, timeout: float | None) -> Plan[Result[I]]:
        job = self._job(info)
        job.info = yield from asking.or_cancelled(info, asking.until_ended(info, timeout))
        return job.result

    @call
    def replay(
        self, original: Picture | Mapping[str, Any], *, timeout: float | None = None
    ) -> Plan[Result[I]]:
        """Make an image again from what it tells of itself, or from its manifest; the result's `replay` says
        how the two compare. As `generate` otherwise."""
        if isinstance(original, Mapping):
            content = json.dumps(original).encode()
        else:
            content = yield from content_of(original)
        info = yield from told(Ask("POST", "/replay", content=content), self.patience)
        return (yield from self._finished(info, timeout))

    @call
    def sweep(
        self,
        prompt: str,
        *,
        x: shapes.Axis,
        y: shapes.Axis | None = None,
        **fields: Unpack[Fields],
    ) -> Plan[S]:
        """Queue one job for each cell of a grid, all or none; their `priority` is `batch` if not said."""
        priority = fields.pop("priority", "batch")
        request = {"prompt": prompt, **(yield from with_uploads(fields))}
        body = {"request": request, "x": x, "y": y, "priority": priority}
        return self._sweep((yield from told(Ask("POST", "/sweeps", json=body), self.patience)))

    @call
    def upload(self, picture: Picture) -> Plan[shapes.UploadInfo]:
        """Send a picture to start from or to be looked at; requests name it by its id."""
        return uploaded(picture)

    def output(self, filename: str) -> G:
        """A picture that was made, by its name; nothing is asked yet."""
        return self._picture(f"/outputs/{quote(filename, safe='')}", filename)

    @call
    def jobs(self, *, limit: int = 50, state: str | None = None) -> Plan[list[J]]:
        """The newest first."""
        query = {"limit": limit} | ({} if state is None else {"state": state})
        found = (yield from told(Ask("GET", "/jobs", query)))["jobs"]
        return [self._job(info) for info in found]

    @call
    def job(self, job_id: str) -> Plan[J]:
        return self._job((yield from asking.job(job_id)))

    @call
    def cancel(self, job_id: str) -> Plan[shapes.State]:
        """A queued job at once, a running one within a step. Raises Refused if it has ended."""
        return (yield from asking.cancelled(job_id))["state"]

    @call
    def models(self) -> Plan[list[shapes.ModelInfo]]:
        return asking.listed("/models", "models")

    @call
    def loras(self) -> Plan[list[shapes.LoraInfo]]:
        """The adapters of every kind."""
        return asking.listed("/loras", "loras")

    @call
    def lora(self, adapter_id: str) -> Plan[dict[str, Any]]:
        """What an adapter's file tells of itself, as `GET /loras/{id}` describes it."""
        return told(Ask("GET", f"/loras/{quote(adapter_id, safe='')}"))

    @call
    def presets(self) -> Plan[list[shapes.PresetInfo]]:
        return asking.listed("/presets", "presets")

    @call
    def schedulers(self) -> Plan[list[shapes.SchedulerInfo]]:
        return asking.listed("/schedulers", "schedulers")

    @call
    def preview_prompt(self, prompt: str, **fields: Unpack[Fields]) -> Plan[dict[str, Any]]:
        """The prompts as the text encoders would get them, as `POST /prompt/preview` describes it."""
        body = {"prompt": prompt, **(yield from with_uploads(fields))}
        preview: dict[str, Any] = yield from told(Ask("POST", "/prompt/preview", json=body))
        return preview

    @call
    def system(self) -> Plan[shapes.SystemInfo]:
        """Version, workers, and how many jobs there are in each state."""
        return told(Ask("GET", "/system"))

    @abstractmethod
    def _job(self, info: shapes.JobInfo) -> J: ...

    @abstractmethod
    def _sweep(self, info: shapes.SweepInfo) -> S: ...

    @abstractmethod
    def _picture(self, url: str, filename: str) -> G: ...
