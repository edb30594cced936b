"""The client that waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx2

from ecurie.client.asking import given_up
from ecurie.client.calls import ClientCalls
from ecurie.client.connecting import DEFAULT_TIMEOUT, DEFAULT_URL, LOST, Server
from ecurie.client.errors import Unreachable
from ecurie.client.following import PAUSE_SECONDS, Follower, Progress
from ecurie.client.handles import ImageCalls, JobCalls, PictureCalls, SweepCalls
from ecurie.client.plans import Ask, Pause, Plan, problem_of

if TYPE_CHECKING:
    from ecurie.client.shapes import ImageInfo, JobInfo, SweepInfo

T = TypeVar("T")


class Link:
    """A connection that does the steps of plans at once."""

    def __init__(self, server: Server):
        self.server = server
        with self._reaching():
            self._client = httpx2.Client(**server.options())

    def run(self, plan: Plan[T]) -> T:
        advance: Callable[[], Ask | Pause] = partial(next, plan)
        while True:
            try:
                step = advance()
            except StopIteration as end:
                outcome: T = end.value
                return outcome
            try:
                answer = self._do(step)
            except BaseException as error:
                advance = partial(plan.throw, error)
            else:
                advance = partial(plan.send, answer)

    def _do(self, step: Ask | Pause) -> httpx2.Response | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        with self._reaching():
            return self._client.request(**self.server.request(step))

    def events(self, path: str) -> Iterator[httpx2.ServerSentEvent]:
        with self._reaching(), self._client.stream(**self.server.stream(path)) as answer:
            if answer.is_error:
                answer.read()
                raise problem_of(answer)
            yield from httpx2.EventSource(answer)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (*LOST, httpx2.InvalidURL) as error:
            raise self.server.unreachable(error) from error

    def close(self) -> None:
        self._client.close()


class Sync:
    """Whose calls return when they are done."""

    _link: Link

    def _run(self, plan: Plan[T]) -> T:
        return self._link.run(plan)


class Picture(PictureCalls, Sync):
    __doc__ = PictureCalls.__doc__


class Image(ImageCalls, Sync):
    __doc__ = ImageCalls.__doc__


class Job(JobCalls[Image], Sync):
    """A job. As a context manager: it is cancelled when the block is left by an error or Ctrl-C."""

    def progress(self) -> Iterator[Progress]:
        """How far it is, whenever that changes, until it has ended; then `result` is there.

        A server that goes away for a minute is asked again. Raises Unreachable after that, and Refused.
        """
        follower = Follower(self.info)
        while not follower.ended:
            try:
                for event in self._link.events(follower.path):
                    now = follower.hear(event)
                    self.info = follower.job
                    if now is not None:
                        yield now
            except Unreachable as error:
                yield follower.lose(error)
            if not follower.ended:
                time.sleep(PAUSE_SECONDS)

    def _image(self, told: ImageInfo) -> Image:
        return Image(self._link, told)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and not self.ended:
            self._run(given_up(self.info))


class Sweep(SweepCalls[Image, Picture], Sync):
    __doc__ = SweepCalls.__doc__

    def _image(self, told: ImageInfo) -> Image:
        return Image(self._link, told)

    def _grid(self, url: str, filename: str) -> Picture:
        return Picture(self._link, url, filename)


class Client(ClientCalls[Job, Sweep, Image, Picture], Sync):
    """A server at `url`. `key` is an API key (default: ECURIE_API_KEY), `timeout` seconds for an answer;
    `patience` is described above."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        patience: float = 0.0,
    ):
        self._link = Link(Server(url, key, timeout))
        self.url, self.patience = self._link.server.url, patience

    def close(self) -> None:
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: Any) -> None:
        self.close()

    def _job(self, info: JobInfo) -> Job:
        return Job(self._link, info)

    def _sweep(self, info: SweepInfo) -> Sweep:
        return Sweep(self._link, info)

    def _picture(self, url: str, filename: str) -> Picture:
        return Picture(self._link, url, filename)
