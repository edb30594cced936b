"""The client that is awaited, with asyncio or trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
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


class AsyncLink:
    """A connection that awaits the steps of plans."""

    def __init__(self, server: Server):
        self.server = server
        with self._reaching():
            self._client = httpx2.AsyncClient(**server.options())

    async def run(self, plan: Plan[T]) -> T:
        advance: Callable[[], Ask | Pause] = partial(next, plan)
        while True:
            try:
                step = advance()
            except StopIteration as end:
                outcome: T = end.value
                return outcome
            try:
                with anyio.CancelScope(shield=step.last_word):
                    answer = await self._do(step)
            except BaseException as error:
                advance = partial(plan.throw, error)
            else:
                advance = partial(plan.send, answer)

    async def _do(self, step: Ask | Pause) -> httpx2.Response | None:
        if isinstance(step, Pause):
            await anyio.sleep(step.seconds)
            return None
        with self._reaching():
            return await self._client.request(**self.server.request(step))

    async def events(self, path: str) -> AsyncIterator[httpx2.ServerSentEvent]:
        with self._reaching():
            async with self._client.stream(**self.server.stream(path)) as answer:
                if answer.is_error:
                    await answer.aread()
                    raise problem_of(answer)
                async for event in httpx2.EventSource(answer):
                    yield event

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (*LOST, httpx2.InvalidURL) as error:
            raise self.server.unreachable(error) from error

    async def close(self) -> None:
        await self._client.aclose()


class Async:
    """Whose calls are awaited."""

    _link: AsyncLink

    async def _run(self, plan: Plan[T]) -> T:
        return await self._link.run(plan)


class AsyncPicture(PictureCalls, Async):
    __doc__ = PictureCalls.__doc__


class AsyncImage(ImageCalls, Async):
    __doc__ = ImageCalls.__doc__


class AsyncJob(JobCalls[AsyncImage], Async):
    """A job. As a context manager: it is cancelled when the block is left by an error or a cancelled task."""

    async def progress(self) -> AsyncIterator[Progress]:
        """As `Job.progress`."""
        follower = Follower(self.info)
        while not follower.ended:
            try:
                async with aclosing(self._link.events(follower.path)) as events:
                    async for event in events:
                        now = follower.hear(event)
                        self.info = follower.job
                        if now is not None:
                            yield now
            except Unreachable as error:
                yield follower.lose(error)
            if not follower.ended:
                await anyio.sleep(PAUSE_SECONDS)

    def _image(self, told: ImageInfo) -> AsyncImage:
        return AsyncImage(self._link, told)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and not self.ended:
            await self._run(given_up(self.info))


class AsyncSweep(SweepCalls[AsyncImage, AsyncPicture], Async):
    __doc__ = SweepCalls.__doc__

    def _image(self, told: ImageInfo) -> AsyncImage:
        return AsyncImage(self._link, told)

    def _grid(self, url: str, filename: str) -> AsyncPicture:
        return AsyncPicture(self._link, url, filename)


class AsyncClient(ClientCalls[AsyncJob, AsyncSweep, AsyncImage, AsyncPicture], Async):
    """As `Client`, every call awaited."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        patience: float = 0.0,
    ):
        self._link = AsyncLink(Server(url, key, timeout))
        self.url, self.patience = self._link.server.url, patience

    async def close(self) -> None:
        await self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: Any) -> None:
        await self.close()

    def _job(self, info: JobInfo) -> AsyncJob:
        return AsyncJob(self._link, info)

    def _sweep(self, info: SweepInfo) -> AsyncSweep:
        return AsyncSweep(self._link, info)

    def _picture(self, url: str, filename: str) -> AsyncPicture:
        return AsyncPicture(self._link, url, filename)
