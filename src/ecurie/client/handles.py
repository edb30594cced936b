"""What a client holds of the server's things: pictures, results, jobs, sweeps."""

from __future__ import annotations

import io
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ecurie.client import asking
from ecurie.client.errors import JobCancelled, JobFailed, NotEnded
from ecurie.client.following import ENDED
from ecurie.client.plans import Ask, Plan, asked, call

if TYPE_CHECKING:
    import os

    import PIL.Image

    from ecurie.client.shapes import CellInfo, ImageInfo, JobInfo, ReplayInfo, State, SweepInfo


class PictureCalls:
    """A picture at the server; `url` is its place there, `filename` its name."""

    def __init__(self, link: Any, url: str, filename: str):
        self._link, self.url, self.filename = link, url, filename

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.filename!r})"

    @call
    def read(self) -> Plan[bytes]:
        """The file's content, fetched anew each time."""
        return self.content()

    @call
    def save(self, path: str | os.PathLike[str] = ".") -> Plan[Path]:
        """Write the file, as it is; into a folder under its own name. Returns where it is."""
        at = Path(path).expanduser()
        if at.is_dir():
            at /= self.filename
        at.write_bytes((yield from self.content()))
        return at

    @call
    def pil(self) -> Plan[PIL.Image.Image]:
        """As a Pillow image, decoded."""
        import PIL.Image

        image = PIL.Image.open(io.BytesIO((yield from self.content())))
        image.load()
        return image

    def content(self) -> Plan[bytes]:
        """For other plans."""
        return (yield from asked(Ask("GET", self.url))).content


class ImageCalls(PictureCalls):
    """An image of a result; `metadata` is the request that makes this very image alone."""

    def __init__(self, link: Any, told: ImageInfo):
        super().__init__(link, told["url"], told["filename"])
        self.seed, self.width, self.height = told["seed"], told["width"], told["height"]
        self.metadata: dict[str, Any] = told["metadata"]


I = TypeVar("I", bound=ImageCalls)  # noqa: E741
G = TypeVar("G", bound=PictureCalls)


@dataclass(frozen=True, slots=True)
class Result(Generic[I]):
    """What a job has made. `prompt` is what the text encoders got, `report` what was done with adapters,
    embeddings and references, `timings` are seconds by phase, `replay` compares a replay with its original.
    """

    job: JobInfo
    images: tuple[I, ...]
    prompt: str
    report: dict[str, Any]
    timings: dict[str, float]
    replay: ReplayInfo | None

    @property
    def image(self) -> I:
        """The first one."""
        return self.images[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(image.seed for image in self.images)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self.report["warnings"])


class JobCalls(Generic[I]):
    """A job; `info` is the server's last word on it that was heard."""

    def __init__(self, link: Any, info: JobInfo):
        self._link, self.info = link, info

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.state!r})"

    @property
    def id(self) -> str:
        return self.info["id"]

    @property
    def state(self) -> State:
        return self.info["state"]

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def result(self) -> Result[I]:
        """Raises JobFailed, JobCancelled, or NotEnded."""
        found = self.info["result"]
        if found is None:
            raise _no_result(self.info)
        return Result(
            self.info,
            tuple(self._image(one) for one in found["images"]),
            found["prompt"],
            found["report"],
            found["timings"],
            found["replay"],
        )

    @abstractmethod
    def _image(self, told: ImageInfo) -> I: ...

    @call
    def wait(self, timeout: float | None = None) -> Plan[Result[I]]:
        """Until it has ended, for at most so many seconds; a server may be away for a minute.

        Raises JobFailed, JobCancelled, NotEnded (the job goes on) and Unreachable.
        """
        self.info = yield from asking.until_ended(self.info, timeout)
        return self.result

    @call
    def refresh(self) -> Plan[State]:
        """Ask the server how it is now."""
        self.info = yield from asking.job(self.id)
        return self.state

    @call
    def cancel(self) -> Plan[State]:
        """A queued job at once, a running one within a step. Raises Refused if it has ended."""
        self.info = yield from asking.cancelled(self.id)
        return self.state


def _no_result(job: JobInfo) -> JobFailed | JobCancelled | NotEnded:
    if job["state"] not in ENDED:
        return NotEnded(job)
    return JobFailed(job) if job["error"] is not None else JobCancelled(job)


class SweepCalls(Generic[I, G]):
    """A grid of jobs, one picture each; `info` is the server's last word on it that was heard."""

    def __init__(self, link: Any, info: SweepInfo):
        self._link, self.info = link, info

    @property
    def id(self) -> str:
        return self.info["id"]

    @property
    def state(self) -> State:
        return self.info["state"]

    @property
    def cells(self) -> list[CellInfo]:
        """Row by row."""
        return self.info["cells"]

    @property
    def images(self) -> list[I]:
        """Those that are there, row by row."""
        return [self._image(cell["image"]) for cell in self.cells if cell["image"] is not None]

    @property
    def grid(self) -> G:
        """All of them in one labelled PNG, as it is when it is read."""
        return self._grid(self.info["grid_url"], f"{self.id}.png")

    @abstractmethod
    def _image(self, told: ImageInfo) -> I: ...

    @abstractmethod
    def _grid(self, url: str, filename: str) -> G: ...

    @call
    def wait(self, timeout: float | None = None) -> Plan[State]:
        """Until every cell has ended, for at most so many seconds. Raises NotEnded and Unreachable."""
        self.info = yield from asking.until_cells_ended(self.info, timeout)
        return self.state

    @call
    def refresh(self) -> Plan[State]:
        self.info = yield from asking.sweep(self.id)
        return self.state

    @call
    def cancel(self) -> Plan[State]:
        """The cells that have not ended."""
        self.info = yield from asking.cancelled_sweep(self.id)
        return self.state
