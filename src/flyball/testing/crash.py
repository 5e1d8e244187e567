"""Crash: the process dies at one exact place of the path, with the state that is durable there.

    T1      before the verdict and the intent are durable: nothing happened
    effect  between T1 and the effect: an intent without an effect
    T2      between the effect and T2: an effect without an outcome
    done    after T2, before anybody was told

or before a record of a given kind is written ("asked", "run_parked", "run_ended" and so on).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.journal import Answered, Append, Entry, Refused, Row
from flyball.core.kinds import KINDS
from flyball.ports.journal import View

R = TypeVar("R", bound=Row)

# point -> the kind of record, and whether it is durable when the process dies
POINTS: Final = {
    "T1": ("intent", False), "effect": ("intent", True), "T2": ("outcome", False), "done": ("outcome", True),
}  # fmt: skip


class Crash(BaseException):
    """The process died here. Like a power cut, no `except Exception` of a flow or tool can stop it."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where to die: at a record of this kind, before or after it is durable, of this action or of any."""

    name: str
    kind: str
    durable: bool
    action: str = ""


def point(name: str, action: str = "") -> Point:
    """The point of this name; raises FlyballError `unknown_point`."""
    if name in POINTS:
        kind, durable = POINTS[name]
        return Point(name, kind, durable, action)
    if name in KINDS:
        return Point(name, name, False, action)
    known = f"{', '.join(POINTS)} or a kind of record such as run_parked"
    raise FlyballError("unknown_point", f"there is no point {name!r} to crash at", fix=known)


class LabJournal:
    """A journal in memory that dies where it is told to, and knows which tasks have an effect in flight."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._armed: list[Point] = []
        self.flying: dict[asyncio.Task[Any], tuple[str, str, str]] = {}
        self.appends = 0
        self.dead = ""

    def arm(self, where: Point) -> None:
        """Dies there, once."""
        self._armed.append(where)

    def reopened(self) -> LabJournal:
        """What another process finds."""
        return LabJournal(self._inner.reopened())

    def in_flight(self) -> set[asyncio.Task[Any]]:
        """The tasks between T1 and T2 of a tool or model call."""
        return {task for task in self.flying if not task.done()}

    # ports.journal.Journal -------------------------------------------------------------------------------------------
    async def append(self, append: Append) -> Answered:
        """As the journal beneath; raises Crash where the process dies, and ever after."""
        self.appends += 1
        if self.dead:
            return self._refuse(append)
        facts = {e.id: self._facts(append.tenant, e) for e in append.entries if e.kind in ("intent", "outcome")}
        where = self._hit(append, facts)
        if where is not None and not where.durable:
            self._die(where)
        answer: Answered = await self._inner.append(append)
        if where is not None:
            self._die(where)
        self._note(append, facts)
        return answer

    def view(self, tenant: str) -> View:
        """A snapshot to read from."""
        return self._inner.view(tenant)  # type: ignore[no-any-return]

    def flaws(self) -> list[str]:
        """As the journal beneath."""
        found: list[str] = self._inner.flaws()
        return found

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        """One row by its id."""
        return self.view(tenant).row(kind, id)

    def tenants(self) -> list[str]:
        """The tenants that have a log."""
        return self._inner.tenants()  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Nothing: what is in memory stays for the next process."""

    # dying -----------------------------------------------------------------------------------------------------------
    def _hit(self, append: Append, facts: dict[str, Any]) -> Point | None:
        for where in self._armed:
            for entry in append.entries:
                action = facts.get(entry.id, {}).get("action", "")
                if entry.kind == where.kind and where.action in ("", action):
                    self._armed.remove(where)
                    return where
        return None

    def _die(self, where: Point) -> None:
        self.dead = f"the process died at {where.name}" + (f" of {where.action}" if where.action else "")
        raise Crash(self.dead)

    def _refuse(self, append: Append) -> Answered:
        if append.entries or append.take or append.settle:
            raise Crash(self.dead)
        return Refused(reason="closed", detail=self.dead)

    # what is in flight -----------------------------------------------------------------------------------------------
    def _facts(self, tenant: str, entry: Entry) -> dict[str, Any]:
        if entry.kind == "intent":
            return _facts(entry.leaf)
        records = self._inner.view(tenant).records(run=entry.run)
        intents = [r for r in records if r.kind == "intent" and r.path == entry.path]
        return _facts(intents[-1].leaf) if intents else {}

    def _note(self, append: Append, facts: dict[str, Any]) -> None:
        task = asyncio.current_task()
        for entry in append.entries:
            if task is None or entry.id not in facts:
                continue
            if entry.kind == "outcome":
                self.flying.pop(task, None)
            elif facts[entry.id]["action_kind"] in ("tool", "model"):
                self.flying[task] = (append.tenant, entry.run, entry.path)


def _facts(leaf: bytes) -> dict[str, Any]:
    return msgspec.json.decode(leaf)["facts"]  # type: ignore[no-any-return]
