"""A step: its place in the log is fixed when it is made, its work starts when it is awaited or gathered."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Suspended(BaseException):
    """The run parks. No `except Exception` of a flow can stop it; while it travels, every step raises it again."""


class Halted(BaseException):
    """The run ends here, whatever the flow would still like to do: a limit, a stop, a divergence."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Continued(BaseException):
    """The run goes on with a fresh history."""

    def __init__(self, input: Any) -> None:
        super().__init__()
        self.input = input


Travelling = Suspended | Halted | Continued


class Entering(Protocol):
    """The branch that a step belongs to."""

    async def enter(self, step: Step[T], /) -> T: ...


class Step(Generic[T]):
    """Work at a place in the log. Await it, or hand it to `run.gather` or `run.timeout`."""

    __slots__ = ("_branch", "awaited", "path", "what", "work")

    def __init__(self, branch: Entering, path: str, what: str, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._branch, self.path, self.what, self.work = branch, path, what, work
        self.awaited = False

    def __await__(self) -> Generator[Any, None, T]:
        return self._branch.enter(self).__await__()

    def __repr__(self) -> str:
        return f"<step {self.path} {self.what}>"
