"""Ask: a question to people, as a row that waits. Its answer is a typed value; no answer in time gives the default."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from flyball.core.approval import leaf_cure, over, shown_group
from flyball.core.journal import PendingRow
from flyball.core.record import Event, Opened
from flyball.core.result import Pending
from flyball.runtime.flow.activation import Activation, Branch
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
    asked, answered = past.last("asked"), past.last("answered")
    if asked is not None and (asked.private or {}).get("shown", {}).get("question") != shown["question"]:
        raise Halted("replay_diverged", f"step {path}: the log holds another question than the code now asks")
    if answered is not None:
        return (answered.private or {})["value"]
    if past.last("expired") is not None and asked is not None:
        return (asked.private or {}).get("default", wanted.default)
    if asked is None:
        at.check_limits()
        return await _ask(at, branch, path, shown, wanted)
    return await _wait(at, branch, path, asked, wanted.default)


async def _ask(at: Activation, branch: Branch, path: str, shown: Mapping[str, Any], wanted: Wanted) -> Any:
    expires = at.record.clock.now() + wanted.within // timedelta(microseconds=1)
    row_id = f"{at.row.id}/{path}#1"
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
    row = PendingRow(
        id=row_id, run=at.row.id, path=path, kind="question", state="open", groups=(cure,),
        expires=expires, record=f"{at.row.id}/{path}/0/asked", over=over(facts["covers"]),  # type: ignore[arg-type]
    )  # fmt: skip
    private = {"shown": told, "default": wanted.default, "schema": wanted.schema}
    event = Event(
        kind="asked", run=at.row.id, path=path, facts={**facts, "over": row.over}, private=private, subjects=at.subjects
    )
    await at.note(branch, event, rows=(row,))
    return _park(at, row, private)


async def _wait(at: Activation, branch: Branch, path: str, asked: Opened, default: Any) -> Any:
    row = at.record.journal.view(at.tenant).row(PendingRow, f"{at.row.id}/{path}#1")
    if row is None or row.state != "open" or at.record.clock.now() < row.expires:
        return _park(at, row, asked.private or {}) if row is not None else default
    gone = msgspec.structs.replace(row, state="expired", version=row.version + 1)
    event = Event(kind="expired", run=at.row.id, path=path, facts={"pending": row.id, "over": row.over, "why": "time"})
    await at.note(branch, event, rows=(gone,))
    return (asked.private or {}).get("default", default)


def _park(at: Activation, row: PendingRow, private: Mapping[str, Any]) -> Any:
    shown = private["shown"]
    at.wake(row.expires)
    at.pending[row.id] = Pending(
        id=row.id, kind="question", run=row.run, about=str(shown.get("about") or ""), question=shown["question"],
        groups=tuple(shown_group(g) for g in row.groups), default=private.get("default"), over=row.over,
        expires=datetime.fromtimestamp(row.expires / 1_000_000, UTC), asked_by=shown["by"], version=row.version,
        arguments={"about": shown["about"]} if shown.get("about") is not None else {}, through=tuple(shown["through"]),
    )  # fmt: skip
    raise Suspended


def _agents(branch: Branch) -> list[str]:
    return [link.agent for link in branch.authority.links]
