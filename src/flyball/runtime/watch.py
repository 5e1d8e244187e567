"""Watch: the log as a stream of events, by tenant cursor; the notification is a hint, the log is the truth."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

from flyball.core.event import (
    Answered,
    Decided,
    Delta,
    Ended,
    Event,
    Executed,
    Progress,
    Proposed,
    StepStarted,
    Waiting,
)  # fmt: skip
from flyball.core.record import Opened
from flyball.core.steps import bare
from flyball.ports.journal import View
from flyball.ports.recording import Recording

POLL_S = 1.0
MOST_HEARD = 1_000
PAGE = 500
_ENDINGS = {"outcome", "late"}
_PEOPLE = {"approved", "rejected", "edited", "answered", "resolution", "expired", "voided"}


class _Intent(NamedTuple):
    """What a step does, and which agent proposed it."""

    action: str
    kind: str
    by: str


class _Heard:
    """What one watcher has not read yet."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.said: deque[Progress | Delta] = deque(maxlen=MOST_HEARD)


class Watching:
    """Who watches: `hints` are set at every append, `watchers` hear what is told while it runs and nobody records."""

    def __init__(self) -> None:
        self.hints: set[asyncio.Event] = set()
        self.watchers: set[_Heard] = set()

    def say(self, tenant: str, run: str, path: str, message: str, done: float | None) -> None:
        """Passes a tool's progress to whoever watches now."""
        self.tell(tenant, Progress(sequence=0, run=run, path=path, time=0, message=message, done=done))

    def tell(self, tenant: str, told: Progress | Delta) -> None:
        """Passes something on to whoever watches this tenant now."""
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
    cursor, actions = after - 1, dict[str, _Intent]()
    try:
        while True:
            hint.clear()
            while heard.said:
                told = heard.said.popleft()
                if run in (None, told.run):
                    yield told
            events, cursor, more = _page(record, tenant, run, cursor, actions)
            for event in events:
                yield event
                if run is not None and isinstance(event, Ended):
                    return
            if more:
                await asyncio.sleep(0)  # a long log must not hold up everybody else
                continue
            try:
                async with asyncio.timeout(POLL_S):
                    await hint.wait()
            except TimeoutError:
                continue
    finally:
        watching.hints.discard(hint)
        watching.watchers.discard(heard)


def _page(
    record: Recording, tenant: str, run: str | None, cursor: int, actions: dict[str, _Intent]
) -> tuple[list[Event], int, bool]:
    """What was recorded behind `cursor`, the cursor behind that, and whether there may be more.

    The snapshot is let go before anything is handed on: whoever listens may take their time, and a wait has none.
    """
    view, found = record.journal.view(tenant), list[Event]()
    kept = view.records(run=run, after=cursor, limit=PAGE)
    for stored in kept:
        cursor = stored.index
        opened = record.open(tenant, stored, view)
        if opened.kind in _ENDINGS and _step(opened) not in actions:
            actions |= _intents(record, tenant, view, opened.run)  # it began before the watching did
        event = event_of(opened, actions)
        if event is not None:
            found.append(event)
    return found, cursor, len(kept) == PAGE


def _intents(record: Recording, tenant: str, view: View, run: str) -> dict[str, _Intent]:
    found = [record.open(tenant, s, view) for s in view.records(run=run, limit=1_000_000) if s.kind == "intent"]
    return {_step(r): _intent(r) for r in found}


def _step(r: Opened) -> str:
    return f"{r.run}/{bare(r.path)}"


def _intent(r: Opened) -> _Intent:
    return _Intent(r.facts["action"], r.facts["action_kind"], (r.facts.get("chain") or [""])[-1])


def event_of(r: Opened, actions: dict[str, _Intent]) -> Event | None:
    """A record as an event, or None where it says nothing to a watcher. `actions` remembers what each step does."""
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


def _started(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], _: dict[str, _Intent]) -> Event:
    return StepStarted(**at, what=r.facts["what"], kind=r.facts["kind"])


def _decided(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], actions: dict[str, _Intent]) -> Event:
    intent = actions[_step(r)] = _intent(r)
    return Decided(
        **at, action=intent.action, outcome=r.facts["outcome"], by=intent.by,
        reason=str(r.facts.get("reason", "")), policies=tuple(r.facts.get("policies", ())),
        arguments=private.get("args", {}),
    )  # fmt: skip


def _executed(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], actions: dict[str, _Intent]) -> Event:
    intent = actions.get(_step(r), _Intent("", "", ""))
    ended: dict[str, Any] = {
        **at,
        "action": intent.action,
        "status": r.facts["status"],
        "code": r.facts["code"],
        "attempt": r.attempt,
    }
    calls = (private.get("result") or {}).get("calls") if intent.kind == "model" else None
    if not calls:
        return Executed(**ended)
    proposed = tuple({"name": call["name"], "arguments": call["arguments"]} for call in calls)
    return Proposed(**ended, by=intent.by, calls=proposed)


def _asked(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], _: dict[str, _Intent]) -> Event:
    shown, covers = private.get("shown", {}), r.facts.get("covers", {})
    return Waiting(
        **at, pending=(r.facts["pending"],), about=str(shown.get("question") or shown.get("action") or ""),
        groups=tuple(covers.get("cures", ())), because=tuple(shown.get("because", ())),
    )  # fmt: skip


def _parked(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], _: dict[str, _Intent]) -> Event:
    return Waiting(**at, pending=tuple(r.facts["waits"]))


def _ended(r: Opened, at: Mapping[str, Any], private: Mapping[str, Any], _: dict[str, _Intent]) -> Event:
    return Ended(**at, reason=r.facts["reason"], ok=r.facts["ok"], detail=str(private.get("detail", "")))


_Maker = Callable[[Opened, Mapping[str, Any], Mapping[str, Any], dict[str, _Intent]], Event]
_MAKERS: Mapping[str, _Maker] = {
    "run_started": _started, "decision": _decided, "intent": _decided, "outcome": _executed, "late": _executed,
    "asked": _asked, "run_parked": _parked, "run_ended": _ended,
}  # fmt: skip
