"""Commands that only read: runs, approvals, budgets, keys, events. Anybody who reaches the project may ask them."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from flyball.app.access import accesses
from flyball.app.control.callers import Caller
from flyball.app.control.office import Office
from flyball.app.sessions import session, sessions
from flyball.core.approval import shown_group, unmet
from flyball.core.budget import MICRO
from flyball.core.journal import EpochRow, PendingRow, RunRow
from flyball.core.outcome import amounts_data
from flyball.core.result import Completed, Pending, Result, Stopped
from flyball.core.signature import to_json
from flyball.runtime.approve.show import blocks
from flyball.runtime.describe import describe, prose


class ListRuns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Runs, newest first; `state` leaves the others out."""

    state: str = ""
    most: int = 100


class OneRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run by its id."""

    run: str


class ListAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What waits for people, in all runs or in one."""

    run: str = ""


class OneAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that waits."""

    id: str


class Watched(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events with a sequence above `after`; of one run until it ends, else for ever."""

    run: str = ""
    after: int = 0


class Accessed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reads of sources by runs about a subject, or of one source; one of the two at least."""

    subject: str = ""
    source: str = ""


class OneSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sessions of this name, of everybody or of one principal."""

    name: str
    of: str = ""


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command without arguments."""


async def runs(office: Office, caller: Caller, wanted: ListRuns) -> dict[str, Any]:
    """Every run by its row."""
    tenant = caller.by.tenant
    rows = office.runs.list(tenant=tenant, state=wanted.state)[::-1]
    open_rows = office.rooms.ports.journal.view(tenant).rows(PendingRow, state="open")
    waits = {row.id: [p.id for p in open_rows if p.run == row.id] for row in rows[: wanted.most]}
    shown = [_run_row(row) | {"waits": waits[row.id]} for row in rows[: wanted.most]]
    return {"runs": shown, "more": max(0, len(rows) - wanted.most)}


def _run_row(row: RunRow) -> dict[str, Any]:
    return {
        "id": row.id, "kind": row.kind, "what": row.what, "state": row.state, "reason": row.reason,
        "started": row.started, "ended": row.ended, "active_ms": row.active_ms, "release": row.release,
        "wake_at": row.wake_at, "review": row.review,
    }  # fmt: skip


async def show(office: Office, caller: Caller, wanted: OneRun) -> dict[str, Any]:
    """A run told from its records."""
    tenant = caller.by.tenant
    row = office.runs.row(wanted.run, tenant=tenant)
    waits = office.rooms.ports.journal.view(tenant).rows(PendingRow, run=row.id, state="open")
    told = describe(row, office.runs.records(row.id, tenant=tenant), waits)
    return {"run": {**told, "bundles": office.policies.in_force(tenant=tenant)}}


async def approvals(office: Office, caller: Caller, wanted: ListAsked) -> dict[str, Any]:
    """Everything that waits for people: approvals, questions, unknown outcomes."""
    tenant = caller.by.tenant
    found = office.approvals.list(tenant=tenant, run=wanted.run)
    return {"approvals": [asked_data(office, tenant, one.id) for one in found]}


async def approval(office: Office, caller: Caller, wanted: OneAsked) -> dict[str, Any]:
    """One thing that waits, as it stands."""
    return asked_data(office, caller.by.tenant, wanted.id)


def asked_data(office: Office, tenant: str, id: str) -> dict[str, Any]:
    """What a person is shown before they decide. `groups` are those that somebody of must still decide."""
    pending, row, asked = office.rooms.people.one(tenant, id)
    private = asked.private or {}
    shown = private.get("shown", {})
    # What may have happened is shown as what may happen is: whoever finds out must know what to look for.
    arguments = blocks(pending.arguments, frozenset()) if row.kind == "unknown" else shown.get("blocks", ())
    given = [shown_group(str(g["cure"])) for g in row.given]
    return {
        **pending_data(pending), "state": row.state, "groups": [shown_group(c) for c in unmet(row.groups, row.given)],
        "given": given, "path": row.path, "effect": shown.get("effect", ""), "egress": shown.get("egress", False),
        "risk": shown.get("risk", ""), "resource": shown.get("resource", ""), "reasons": list(shown.get("reasons", ())),
        "modified": list(shown.get("modified", ())), "blocks": list(arguments),
        "shown": shown.get("about") if row.kind == "question" else None, "erased": asked.private is None,
        "prose": prose(office.runs.records(row.run, tenant=tenant), asked) if row.kind == "approval" else "",
    }  # fmt: skip


def pending_data(pending: Pending) -> dict[str, Any]:
    """What waits as plain data."""
    told = asdict(pending)
    told["expires"] = pending.expires.isoformat() if pending.expires is not None else None
    for name in ("groups", "because", "through", "owners"):
        told[name] = list(told[name])
    return told


def result_data(result: Result[Any], state: str = "") -> dict[str, Any]:
    """What became of a run as plain data."""
    told: dict[str, Any] = {"run": result.run, "ok": result.ok, "reason": result.reason, "state": state}
    if isinstance(result, Completed):
        return told | {"value": to_json(result.value)}
    if isinstance(result, Stopped):
        return told | {"detail": result.detail, "retryable": result.retryable}
    return told | {"pending": [pending_data(p) for p in result.pending]}


async def budget(office: Office, caller: Caller, _: Nothing) -> dict[str, Any]:
    """Every budget node: what is spent, what is reserved, the configured limits, and the digest of the price table."""
    limits = office.rooms.config.limits
    nodes = [
        {"node": row.id, "spent": amounts_data(row.spent), "reserved": amounts_data(row.reserved)}
        for row in office.budgets.list(tenant=caller.by.tenant)
    ]
    shown = {name: _limits(getattr(limits, name)) for name in ("run", "agent", "step", "tenant")}
    agents = {name: _limits(own) for name, own in {"": limits.each_agent, **limits.agents}.items()}
    return {
        "budgets": nodes, "limits": shown, "agents": {name: own for name, own in agents.items() if own},
        "micro": MICRO, "prices": office.rooms.ports.prices.digest,
    }  # fmt: skip


def _limits(limits: Any) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(limits).items() if value is not None}


async def access(office: Office, caller: Caller, wanted: Accessed) -> dict[str, Any]:
    """Which runs read what, about whom and what for."""
    return {"access": accesses(office.rooms, caller.by.tenant, wanted.subject, wanted.source)}


async def list_sessions(office: Office, caller: Caller, _: Nothing) -> dict[str, Any]:
    """Every session."""
    return {"sessions": sessions(office.rooms, caller.by.tenant)}


async def one_session(office: Office, caller: Caller, wanted: OneSession) -> dict[str, Any]:
    """What was asked and answered, turn by turn."""
    return {"sessions": session(office.rooms, caller.by.tenant, wanted.name, wanted.of)}


async def keys(office: Office, caller: Caller, _: Nothing) -> dict[str, Any]:
    """The directory of people's keys."""
    rows = office.keys.list(tenant=caller.by.tenant)
    return {"keys": [msgspec.to_builtins(row) for row in rows]}


async def facts(office: Office, caller: Caller, _: Nothing) -> dict[str, Any]:
    """What `doctor` asks the rooms: sizes, policies in force, epochs, runs by state, isolation of tools."""
    tenant = caller.by.tenant
    view = office.rooms.ports.journal.view(tenant)
    log, frontier = view.tree()
    counts: dict[str, int] = {}
    for row in view.rows(RunRow):
        counts[row.state] = counts.get(row.state, 0) + 1
    return {
        "log": log, "size": frontier.size, "root": base64.b64encode(frontier.root()).decode() if frontier.size else "",
        "policies": office.policies.in_force(tenant=tenant), "runs": counts,
        "epochs": {row.id: row.value for row in view.rows(EpochRow) if not row.id.startswith("taint:")},
        "review": [row.id for row in view.rows(RunRow) if row.review],
    }  # fmt: skip


async def watch(office: Office, caller: Caller, wanted: Watched) -> AsyncIterator[dict[str, Any]]:
    """The events, each with what kind it is."""
    if wanted.run:
        office.runs.row(wanted.run, tenant=caller.by.tenant)
    events = office.watch(run=wanted.run or None, after=wanted.after, tenant=caller.by.tenant)
    async for event in events:
        yield {"event": _word(type(event).__name__), **_plain(msgspec.to_builtins(event))}


def _plain(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if value not in ("", (), [], {}, None)}


def _word(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
