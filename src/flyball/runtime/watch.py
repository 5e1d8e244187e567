"""Watch: the log as a stream of events, by tenant cursor; the notification is a hint, the log is the truth."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from flyball.core.event import Answered, Decided, Ended, Event, Executed, Progress, StepStarted, Waiting
from flyball.core.record import Opened
from flyball.ports.recording import Recording

POLL_S = 1.0
MOST_HEARD = 1_000
_PEOPLE = {"approved", "rejected", "edited", "answered", "resolution", "expired", "voided"}


class _Heard:
    """What one watcher has not read yet."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.said: deque[Progress] = deque(maxlen=MOST_HEARD)


class Watching:
    """Who watches: `hints` are set at every append, `watchers` hear what running tools tell and nobody records."""

    def __init__(self) -> None:
        self.hints: set[asyncio.Event] = set()
        self.watchers: set[_Heard] = set()

    def say(self, tenant: str, run: str, path: str, message: str, done: float | None) -> None:
        """Passes a tool's progress to whoever watches now."""
        told = Progress(sequence=0, run=run, path=path, time=0, message=message, done=done)
        for watcher in self.watchers:
            if watcher.tenant == tenant:
                watcher.said.append(told)
        for hint in self.hints:
            hint.set()


async def watch(
    record: Recording, watching: Watching, tenant: str, *, run: str | None = None, after: int = 0
) -> AsyncIterator[Event]:
    """Events with a sequence above `after`, in order, for ever; of one run until it has ended."""
    hint, heard = asyncio.Event(), _Heard(tenant)
    watching.hints.add(hint)
    watching.watchers.add(heard)
    cursor, actions = after - 1, dict[str, str]()
    try:
        while True:
            hint.clear()
            while heard.said:
                told = heard.said.popleft()
                if run in (None, told.run):
                    yield told
            view = record.journal.view(tenant)
            for stored in view.records(run=run, after=cursor, limit=1000):
                cursor = stored.index
                opened = record.open(tenant, stored, view)
                event = event_of(opened, actions)
                if event is not None:
                    yield event
                if run is not None and isinstance(event, Ended):
                    return
            try:
                async with asyncio.timeout(POLL_S):
                    await hint.wait()
            except TimeoutError:
                continue
    finally:
        watching.hints.discard(hint)
        watching.watchers.discard(heard)


def event_of(r: Opened, actions: dict[str, str]) -> Event | None:
    """A record as an event, or None where it says nothing to a watcher. `actions` remembers names by step."""
    at: dict[str, Any] = {"sequence": r.index + 1, "run": r.run, "path": r.path, "time": r.time}
    make = _MAKERS.get(r.kind)
    if make is not None:
        return make(r, at, r.private or {}, actions)
    if r.kind in _PEOPLE:
        private = r.private or {}
        return Answered(
            **at, what=r.kind, pending=str(r.facts.get("pending", r.facts.get("intent", ""))),
            by=str(private.get("person", "")), reason=str(private.get("reason", "")),
        )  # fmt: skip
    return None


def _started(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], _: dict[str, str]) -> Event:
    return StepStarted(**at, what=r.facts["what"], kind=r.facts["kind"])


def _decided(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], actions: dict[str, str]) -> Event:
    actions[f"{r.run}/{r.path}"] = r.facts["action"]
    agents = r.facts.get("chain") or [""]
    return Decided(
        **at, action=r.facts["action"], outcome=r.facts["outcome"], by=agents[-1],
        reason=str(r.facts.get("reason", "")), policies=tuple(r.facts.get("policies", ())),
        arguments=private.get("args", {}),
    )  # fmt: skip


def _executed(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], actions: dict[str, str]) -> Event:
    action = actions.get(f"{r.run}/{r.path}", "")
    return Executed(**at, action=action, status=r.facts["status"], code=r.facts["code"], attempt=r.attempt)


def _asked(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], _: dict[str, str]) -> Event:
    shown, covers = private.get("shown", {}), r.facts.get("covers", {})
    return Waiting(
        **at, pending=(r.facts["pending"],), about=str(shown.get("question") or shown.get("action") or ""),
        groups=tuple(covers.get("cures", ())), because=tuple(shown.get("because", ())),
    )  # fmt: skip


def _parked(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], _: dict[str, str]) -> Event:
    return Waiting(**at, pending=tuple(r.facts["waits"]))


def _ended(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], _: dict[str, str]) -> Event:
    return Ended(**at, reason=r.facts["reason"], ok=r.facts["ok"], detail=str(private.get("detail", "")))


_Maker = Callable[[Opened, Mapping[str, Any], Mapping[str, Any], dict[str, str]], Event]
_MAKERS: Mapping[str, _Maker] = {
    "run_started": _started, "decision": _decided, "intent": _decided, "outcome": _executed, "late": _executed,
    "asked": _asked, "run_parked": _parked, "run_ended": _ended,
}  # fmt: skip
