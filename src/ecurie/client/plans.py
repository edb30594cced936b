"""What a method asks of the server, written once for both clients.

A plan is a generator: it yields what is to be done (an `Ask`, a `Pause`), is sent the outcome (of an `Ask`
the response), and returns what its method returns. It does no input or output with the server, so that one
plan serves `Client`, which does the steps at once, and `AsyncClient`, which awaits them. An error of a step
is raised in the plan, as is Ctrl-C and the cancelling of a task.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypeAlias,
    TypeVar,
    overload,
)

from ecurie.client.errors import Refused, ServerError, Unavailable, Unreachable

if TYPE_CHECKING:
    import httpx2

    from ecurie.client.asynchronous import Async
    from ecurie.client.synchronous import Sync

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. `path` is below the server's URL; `seconds` may pass before the answer, beyond the client's
    time-out; `last_word`: also to be sent while the caller is being cancelled."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    seconds: float = 0.0
    last_word: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float
    last_word: ClassVar[bool] = False


Plan: TypeAlias = Generator[Ask | Pause, Any, T]


class call(Generic[P, T]):
    """Makes a plan a method: of a `Sync` object one that returns its outcome, of an `Async` one to await."""

    def __init__(self, plan: Callable[Concatenate[Any, P], Plan[T]]):
        self._plan = plan
        self.__doc__ = plan.__doc__

    @overload
    def __get__(self, owner: None, kind: type[object]) -> Self: ...
    @overload
    def __get__(self, owner: Sync, kind: type[object]) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: Async, kind: type[object]) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, owner: Any, kind: type[object]) -> Any:
        if owner is None:
            return self

        @functools.wraps(self._plan)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return owner._run(self._plan(owner, *args, **kwargs))

        return method


def asked(request: Ask, patience: float = 0.0) -> Plan[httpx2.Response]:
    """The answer, if it is none of error. While the server says when to come back, it is asked again, for at
    most `patience` seconds in all. Raises ServerError and Unreachable."""
    deadline = time.monotonic() + patience
    while True:
        answer: httpx2.Response = yield request
        if not answer.is_error:
            return answer
        problem = problem_of(answer)
        pause = problem.retry_after if isinstance(problem, Unavailable) else None
        if pause is None or time.monotonic() + pause > deadline:
            raise problem
        yield Pause(pause)


def told(request: Ask, patience: float = 0.0) -> Plan[Any]:
    """The answer's JSON. Raises ServerError and Unreachable."""
    answer = yield from asked(request, patience)
    try:
        return answer.json()
    except ValueError:
        raise _stranger(answer) from None


def problem_of(answer: httpx2.Response) -> ServerError | Unreachable:
    """What an answer of error says, which must have been read."""
    try:
        problem = answer.json()
        detail, code = str(problem["detail"]), str(problem["code"])
    except (ValueError, KeyError, TypeError):
        return _stranger(answer)
    status = answer.status_code
    kind = Refused if status < 500 and status != 429 else Unavailable
    error = kind(detail, code=code, status=status, field=problem.get("field"), remedy=problem.get("remedy"))
    if isinstance(error, Unavailable):
        after = answer.headers.get("Retry-After", "")
        error.retry_after = float(after) if after.isdecimal() else None
    return error


def _stranger(answer: httpx2.Response) -> Unreachable:
    return Unreachable(
        f"{answer.url.copy_with(path='/', query=None)} answers with status {answer.status_code}, "
        "not as Écurie does",
        remedy="check the server's URL",
    )
