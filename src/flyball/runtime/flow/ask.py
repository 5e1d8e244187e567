"""Ask: a question to people, as a row that waits. Its answer is a typed value; no answer in time gives the default.

Where it expired only because the machine's clock was set forward, it is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec

from flyball.core.approval import leaf_cure, over, shown_group
from flyball.core.attested import changed, misstated, moment
from flyball.core.caps import QUESTION, counted_at
from flyball.core.errors import Superseded
from flyball.core.journal import PendingRow
from flyball.core.jumps import ahead
from flyball.core.record import NO_RUN, Event, Opened
from flyball.core.result import Pending
from flyball.runtime.flow.activation import Activation, Branch
from flyball.runtime.flow.snapshot import ALL
from flyball.runtime.flow.step import Halted, Suspended


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a question goes to, how long it stands, and what an answer must fit."""

    to: str
    within: timedelta
    default: Any
    schema: Mapping[str, Any]


async def ask_person(at: Activation, branch: Branch, path: str, shown: Mapping[str, Any], wanted: Wanted) -> Any:
    """The recorded answer; else asks, or goes on waiting, and parks."""
    past = at.history.past(path)
    asked, answered, expired = past.last("asked"), past.last("answered"), past.last("expired")
    if asked is not None and (asked.private or {}).get("shown", {}).get("question") != shown["question"]:
        raise Halted("replay_diverged", f"step {path}: the log holds another question than the code now asks")
    if answered is not None:
        return (answered.private or {})["value"]
    if asked is None:
        at.check_limits(branch)
        at.standing.check_ask(branch.holds)
        return await _ask(at, branch, path, shown, wanted)
    if expired is not None and expired.facts["pending"] == asked.facts["pending"]:
        return (asked.private or {}).get("default", wanted.default)
    row = at.record.journal.view(at.tenant).row(PendingRow, asked.facts["pending"])
    wrong = misstated(row, asked, partial(at.record.person, at.tenant)) if row is not None else ""
    if wrong:  # the run stands where its log stands: what was changed beside it ends nothing
        raise Superseded(changed(f"{asked.facts['pending']}: {wrong}"))
    if row is None or row.state != "open" or at.record.clock.now() < row.expires:
        return _park(at, row, asked.private or {}) if row is not None else wanted.default
    if _set_forward(at, row, asked):  # nobody had the time that was promised to them: they are asked again
        return await _ask(at, branch, path, shown, wanted, _over(row, asked, "clock", "void"))
    ended = _over(row, asked, "time", "expired")
    await at.note(branch, ended.event, rows=(ended.row,))
    return (asked.private or {}).get("default", wanted.default)


class _Over(NamedTuple):
    """What ends a question, and its row then."""

    event: Event
    row: PendingRow


async def _ask(
    at: Activation, branch: Branch, path: str, shown: Mapping[str, Any], wanted: Wanted, before: _Over | None = None
) -> Any:
    """Asks, for the first time or once more after what was asked `before`."""
    number = before.event.attempt + 1 if before is not None else 0
    expires = at.record.clock.now() + wanted.within // timedelta(microseconds=1)
    row_id = f"{at.row.id}/{path}#{number + 1}"
    cure = f"project/{wanted.to}"
    told = {**shown, "action": "ask", "by": at.authority.principal.id, "through": _agents(branch)}
    facts = {
        "pending": row_id,
        "kind": "question",
        "covers": {
            "pending": row_id,
            "cures": [leaf_cure(cure, partial(at.record.person, at.tenant))],
            "expires": expires,
        },
    }
    private = {"shown": told, "default": wanted.default, "schema": wanted.schema}
    event = Event(
        kind="asked", run=at.row.id, path=path, attempt=number, private=private, subjects=at.subjects,
        facts={**facts, "over": over(facts["covers"])},  # type: ignore[arg-type]
    )  # fmt: skip
    row = PendingRow(
        id=row_id, run=at.row.id, path=path, kind="question", state="open", groups=(cure,), expires=expires,
        record=event.id, over=event.facts["over"], counts=counted_at(branch.holds, QUESTION, at.record.clock.now()),
    )  # fmt: skip
    ended = () if before is None else (before,)
    await at.note(branch, *(o.event for o in ended), event, rows=(*(o.row for o in ended), row))
    return _park(at, row, private)


def _over(row: PendingRow, asked: Opened, why: str, state: str) -> _Over:
    facts = {"pending": row.id, "over": row.over, "why": why}
    event = Event(kind="expired", run=row.run, path=row.path, attempt=asked.attempt, facts=facts)
    return _Over(event, msgspec.structs.replace(row, state=state, version=row.version + 1))


def _set_forward(at: Activation, row: PendingRow, asked: Opened) -> bool:
    """Did it expire only because somebody set the machine's clock forward since it was asked?"""
    clock, apart = at.record.clock, at.record.journal.view(at.tenant).records(run=NO_RUN, limit=ALL)
    return clock.now() - ahead(clock.jumps(), asked.time, apart) < row.expires


def _park(at: Activation, row: PendingRow, private: Mapping[str, Any]) -> Any:
    shown = private["shown"]
    at.wake(row.expires)
    at.pending[row.id] = Pending(
        id=row.id, kind="question", run=row.run, about=str(shown.get("about") or ""), question=shown["question"],
        groups=tuple(shown_group(g) for g in row.groups), default=private.get("default"), over=row.over,
        expires=moment(row.expires), asked_by=shown["by"], version=row.version,
        arguments={"about": shown["about"]} if shown.get("about") is not None else {}, through=tuple(shown["through"]),
    )  # fmt: skip
    raise Suspended


def _agents(branch: Branch) -> list[str]:
    return [link.agent for link in branch.authority.links]
