"""A step: its place in the log is fixed when it is made, its work starts when it is awaited or gathered."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Timed:
    """What runs under a `run.timeout`; once its timer has won (`lost`), what is in flight ends, nothing new begins."""

    outer: Timed | None
    lost: bool = False


TIMED: ContextVar[Timed | None] = ContextVar("flyball_timed", default=None)


def lost() -> bool:
    """Does the current task belong to work whose timer has won?"""
    timed = TIMED.get()
    while timed is not None and not timed.lost:
        timed = timed.outer
    return timed is not None


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

    async def enter(self, step: Step[T], /) -> T:
        """Does the step's work here, once, or finds what the log holds of it."""
        ...


class Step(Generic[T]):
    """Work at a place in the log. Await it, or hand it to `run.gather` or `run.timeout`. One that gathers others
    (`parts`) has no place of its own."""

    __slots__ = ("_branch", "_parts", "awaited", "path", "what", "work")

    def __init__(
        self, branch: Entering, path: str, what: str, work: Callable[[], Coroutine[Any, Any, T]],
        parts: Iterable[Step[Any]] = (),
    ) -> None:  # fmt: skip
        self._branch, self.path, self.what, self.work = branch, path, what, work
        self._parts = tuple(parts)
        self.awaited = False

    def paths(self) -> list[str]:
        """Where in the log its records stand, or those of its parts."""
        return [self.path] if self.path else [path for part in self._parts for path in part.paths()]

    def given_up(self) -> None:
        """Its flow has asked for it, and goes on without it."""
        self.awaited = True
        for part in self._parts:
            part.given_up()

    def __await__(self) -> Generator[Any, None, T]:
        return self._branch.enter(self).__await__()

    def __repr__(self) -> str:
        return f"<step {self.path} {self.what}>"
