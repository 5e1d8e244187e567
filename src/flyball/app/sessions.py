"""Sessions as people look at them: who talks about what, and turn by turn what was asked and answered."""

from __future__ import annotations

from typing import Any

from flyball.app.wiring import Rooms
from flyball.core.errors import FlyballError
from flyball.core.journal import RunRow
from flyball.core.record import Opened, record_id
from flyball.core.session import ERASED
from flyball.ports.journal import View


def sessions(rooms: Rooms, tenant: str) -> list[dict[str, Any]]:
    """Every session of a tenant, the one with the latest turn first."""
    found: dict[str, list[RunRow]] = {}
    view = rooms.ports.journal.view(tenant)
    for row in view.rows(RunRow):
        if row.turn:
            found.setdefault(row.session, []).append(row)
    told = [_told(rooms, tenant, view, sorted(rows, key=lambda row: row.turn)) for rows in found.values()]
    return sorted(told, key=lambda one: (-one["latest"], one["session"]))


def session(rooms: Rooms, tenant: str, name: str, of: str = "") -> list[dict[str, Any]]:
    """The sessions of this name with their turns: one for each principal who has one, or that of `of` alone; raises
    FlyballError `unknown_session`."""
    named = [one for one in sessions(rooms, tenant) if one["session"] == name and of in ("", one["by"])]
    if not named:
        whose = f" of {of}" if of else ""
        raise FlyballError(
            "unknown_session", f"there is no session {name}{whose} in tenant {tenant}", fix="flyball session list"
        )
    view = rooms.ports.journal.view(tenant)
    return [one | {"turns": [_turn(rooms, tenant, view, run) for run in one["runs"]]} for one in named]


def _told(rooms: Rooms, tenant: str, view: View, rows: list[RunRow]) -> dict[str, Any]:
    # Turns may be about several people: the name can be read as long as one of them is there.
    private = next((p for row in rows if (p := _private(rooms, tenant, view, row.id, "run_started"))), {})
    return {
        "session": private.get("session", ERASED), "by": private.get("principal", {}).get("id", ERASED),
        "runs": [row.id for row in rows], "latest": rows[-1].started,
        "state": next((row.state for row in rows if row.state != "ended"), "ended"),
    }  # fmt: skip


def _turn(rooms: Rooms, tenant: str, view: View, run: str) -> dict[str, Any]:
    row = view.row(RunRow, run)
    if row is None:
        raise FlyballError("unknown_run", f"there is no run {run} in tenant {tenant}")
    started = _private(rooms, tenant, view, run, "run_started")
    last = _opened(rooms, tenant, view, run, "run_ended")
    ended = (last.private if last is not None else None) or {}
    following = str(last.facts.get("next", "")) if last is not None else ""
    return {
        "turn": row.turn, "run": run, "what": row.what, "state": row.state, "reason": row.reason,
        "started": row.started, "ended": row.ended, "asked": started.get("input", ERASED),
        "answered": ended.get("result"), "erased": not started, "next": following,
    }  # fmt: skip


def _private(rooms: Rooms, tenant: str, view: View, run: str, kind: str) -> dict[str, Any]:
    opened = _opened(rooms, tenant, view, run, kind)
    return dict((opened.private if opened is not None else None) or {})


def _opened(rooms: Rooms, tenant: str, view: View, run: str, kind: str) -> Opened | None:
    stored = view.record(record_id(run, "", 0, kind))
    return rooms.record.open(tenant, stored, view) if stored is not None else None
