"""The rooms that a program opens a project for: runs, approvals, questions, policies, ledger, budgets, keys."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from flyball.app.moving import Checked, check, move
from flyball.app.opening import enter
from flyball.app.project import Project
from flyball.app.release import release_of
from flyball.app.replaying import replay
from flyball.app.wiring import Rooms
from flyball.core.approval import shown_group
from flyball.core.attested import changed, key_objection
from flyball.core.credential import enrolled, written
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.flow import Flow
from flyball.core.guard import Looked, Screened, Subject
from flyball.core.identity import Principal
from flyball.core.journal import BudgetRow, KeyRow, PendingRow, RunRow
from flyball.core.limits import Limits
from flyball.core.note import parse_vkey
from flyball.core.record import NO_RUN, Event, Opened, record_id
from flyball.core.result import Blocked, Completed, Executed, Failed, Pending, Result, Stopped, Waiting
from flyball.core.signature import from_json, plain
from flyball.core.span import check_traceparent, span_id
from flyball.core.span import traceparent as header
from flyball.core.tool import Tool
from flyball.core.trace import origin_of
from flyball.runtime.export import Disclosure, prove, write_export
from flyball.runtime.flow.starting import Started
from flyball.runtime.flow.timers import timers_of
from flyball.runtime.recover import blocked_again
from flyball.runtime.replay import Replayed
from flyball.verify.directory import verify_directory
from flyball.verify.report import Check, Findings, Report
from flyball.verify.stored import verify_store

Signature = tuple[str, str]


class Runs:
    """Starting, reading and stopping runs."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._entered: set[str] = set()
        self._entering: dict[str, asyncio.Lock] = {}

    async def start(
        self, what: Any, input: Any, by: Principal, key: str | None, session: str | None, subject: str | None,
        limits: Limits | None, traceparent: str | None = None,
    ) -> str:  # fmt: skip
        """The id of the started run."""
        value = self._rooms.project.known(what)
        kind = "flow" if isinstance(value, Flow) else "agent"
        return await self._start(
            kind, value.name, input, by, key or "", session or "", subject or "", limits, "", traceparent or ""
        )

    async def _start(
        self, kind: str, what: str, input: Any, by: Principal, key: str, session: str, subject: str,
        limits: Limits | None, parent: str = "", caller: str = "",
    ) -> str:  # fmt: skip
        check_traceparent(caller)
        plain([key, session, subject])
        data = plain(input, max_bytes=self._rooms.config.input.max_bytes)
        await self.ready(by.tenant)
        release = release_of(self._rooms).digest
        data, looked = await self._screened(kind, what, data, by.tenant)
        if parent:
            subject, above = self._within(parent, wanted_by=by)
            caller = caller or above
        wanted = Started(
            kind=kind, what=what, input=data, by=by, release=release, key=key, session=session, subject=subject,
            limits=limits or Limits(), parent=parent, guards=tuple(one.told for one in looked), traceparent=caller,
        )  # fmt: skip
        if parent and self.row(parent, tenant=by.tenant).state == "ended":
            self._known(wanted)
        return await self._rooms.driver.start(wanted)

    async def _screened(self, kind: str, what: str, data: Any, tenant: str) -> tuple[Any, tuple[Looked, ...]]:
        """An input as it may be recorded: what guards of this process redact is redacted."""
        guards = self._rooms.guards
        if guards is None or (kind == "act" and "problem" in data):
            return data, ()
        if kind != "act":
            where = Subject(stage="input", passages=(), tenant=tenant, action=what)
            return await guards.handed_in(Action(name=what, kind="agent"), where, data)
        where = Subject(stage="tool_args", passages=(), tenant=tenant, action=what)
        arguments, looked = await guards.handed_in(Action(name=what), where, data["arguments"])
        said = msgspec.to_builtins(Screened(looked=looked).signals)
        return {"arguments": arguments, **({"guard": said} if looked else {})}, looked

    def _within(self, run: str, *, wanted_by: Principal) -> tuple[str, str]:
        """Whose data a run is about, and where an action within it belongs; raises FlyballError where the run is
        somebody else's."""
        self.row(run, tenant=wanted_by.tenant)
        first = self.records(run, tenant=wanted_by.tenant, kind="run_started")[0]
        started = first.private
        if started is None:
            raise FlyballError("subject_erased", f"what run {run} is about was erased")
        if (started["principal"]["id"], started["principal"]["issuer"]) != (wanted_by.id, wanted_by.issuer):
            raise FlyballError("not_eligible", f"run {run} is not of {wanted_by.id}", fix="act in a run of your own")
        above = header(origin_of(wanted_by.tenant, first).trace, span_id(wanted_by.tenant, run))
        return str(started["subject"]), above

    def _known(self, wanted: Started) -> None:
        view = self._rooms.ports.journal.view(wanted.by.tenant)
        if view.row(RunRow, self._rooms.driver.starts.id_of(wanted)) is None:
            raise FlyballError("run_ended", f"run {wanted.parent} has ended", fix="start another run")

    async def ready(self, tenant: str) -> None:
        """Makes a tenant ready the first time it is used."""
        if tenant in self._entered:
            return
        async with self._entering.setdefault(tenant, asyncio.Lock()):  # one tenant does not wait for another
            if tenant not in self._entered:
                await enter(self._rooms, tenant)
                self._entered.add(tenant)

    async def act(
        self, tool: str | Tool[..., Any], arguments: Mapping[str, Any], by: Principal, call_id: str, run: str | None,
        hold: timedelta, traceparent: str | None = None,
    ) -> Executed[Any] | Blocked | Failed | Pending:  # fmt: skip
        """One governed action as a run of one step."""
        name = tool if isinstance(tool, str) else self._rooms.project.known(tool).name
        self._rooms.project.tool(name)
        key = f"act\0{run or ''}\0{call_id}"
        id = await self._start(
            "act", name, self._proposed(arguments), by, key, "", "", None, run or "", traceparent or ""
        )
        result = await self.result(id, tenant=by.tenant)
        ends = self._rooms.ports.clock.now() + hold // timedelta(microseconds=1)
        while isinstance(result, Waiting) and self._rooms.ports.clock.now() < ends:
            await asyncio.sleep(0.05)
            result = await self.result(id, tenant=by.tenant)
        return self._acted(id, by.tenant, name, result)

    def _proposed(self, arguments: Any) -> dict[str, Any]:
        """What the record of an action holds of what was proposed: the arguments, or why no record can hold them."""
        try:
            found = plain(arguments, max_bytes=self._rooms.config.input.max_bytes)
        except FlyballError as bad:
            return {"arguments": {}, "problem": str(bad)}
        return {"arguments": found} if isinstance(found, dict) else {"arguments": {}, "problem": "they are no object"}

    def _acted(
        self, id: str, tenant: str, name: str, result: Result[Any]
    ) -> Executed[Any] | Blocked | Failed | Pending:
        if isinstance(result, Waiting) and not result.pending:
            fix = "ask again with the same call_id"
            raise FlyballError("not_finished", f"{name} is under way, and nobody drives it here now", fix=fix)
        if isinstance(result, Waiting):
            return result.pending[0]
        records = self.records(id, tenant=tenant)
        if isinstance(result, Completed):
            return Executed(result.value, _last(records, "outcome", "resolution"))
        error = (records[-1].private or {}).get("error", {})
        decisions = [r for r in records if r.kind == "decision"]
        if decisions:
            return blocked_again(decisions[-1])
        reason, what = str(error.get("reason", result.reason)), str(error.get("what", result.detail))
        ended = [r.facts["status"] for r in records if r.kind == "outcome"]
        if ended[-1:] == ["not_started"]:
            return Blocked(reason, what=what, action=_last(records, "outcome"))
        return Failed(reason, what, action=_last(records, "outcome", "resolution"))

    async def result(self, run: str, *, tenant: str = "local") -> Result[Any]:
        """What became of a run, once nobody in this process drives it."""
        return self._told(await self._rooms.driver.settled(tenant, run), tenant)

    def _told(self, row: RunRow, tenant: str) -> Result[Any]:
        if row.state != "ended":
            people, now = self._rooms.people.pending(tenant, run=row.id), self._rooms.ports.clock.now()
            turns = self._rooms.driver.starts.sessions.waiting_for(tenant, row)
            return Waiting(row.id, (*people, *timers_of(row, self.records(row.id, tenant=tenant), now), *turns))
        view = self._rooms.ports.journal.view(tenant)
        ended = view.record(record_id(row.id, "", 0, "run_ended"))
        private = (None if ended is None else self._rooms.record.open(tenant, ended, view).private) or {}
        if row.reason == "completed":
            return Completed(row.id, from_json(private.get("result"), self._type(row)))
        return Stopped(row.id, row.reason, str(private.get("detail", "")))  # type: ignore[arg-type]

    def _type(self, row: RunRow) -> Any:
        project: Project = self._rooms.project
        if row.kind == "act":
            return project.tools[row.what].signature.returns if row.what in project.tools else Any
        value = (project.flows if row.kind == "flow" else project.agents).get(row.what)
        return value.output if value is not None else Any

    def row(self, run: str, *, tenant: str = "local") -> RunRow:
        """A run's row; raises `unknown_run`."""
        row = self._rooms.ports.journal.view(tenant).row(RunRow, run)
        if row is None:
            raise FlyballError("unknown_run", f"there is no run {run} in tenant {tenant}", fix="flyball runs")
        return row

    def list(self, *, tenant: str = "local", state: str = "") -> list[RunRow]:
        """Runs, oldest first."""
        view = self._rooms.ports.journal.view(tenant)
        rows = view.rows(RunRow, state=state) if state else view.rows(RunRow)
        return sorted(rows, key=lambda r: (r.started, r.id))

    def records(self, run: str, *, tenant: str = "local", kind: str = "") -> Sequence[Opened]:
        """A run's records, opened."""
        view = self._rooms.ports.journal.view(tenant)
        stored = [s for s in view.records(run=run, limit=1_000_000) if not kind or s.kind == kind]
        return [self._rooms.record.open(tenant, s, view) for s in stored]

    async def resume(self, run: str, *, tenant: str = "local") -> Result[Any]:
        """Drives a run that is due, and says what became of it."""
        self._rooms.driver.name(tenant, run)
        self._rooms.driver.wake(tenant, run)
        return await self.result(run, tenant=tenant)

    async def stop(self, run: str, reason: str, *, by: Principal) -> Stopped:
        """Ends a run at its next step."""
        return await self._rooms.driver.stop(by.tenant, run, reason, by)


class Approvals:
    """What waits for an approval, and what people do about it."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def list(self, *, tenant: str = "local", run: str = "") -> list[Pending]:
        """Everything that waits for people or a decision."""
        return self._rooms.people.pending(tenant, run=run)

    def get(self, id: str, *, tenant: str = "local") -> Pending:
        """One of them, as it stands."""
        return self._rooms.people.one(tenant, id)[0]

    async def approve(
        self, pending: Pending | str, *, by: Principal, reason: str = "", signed: Signature | None = None
    ) -> Pending:
        """Signs exactly what was shown."""
        return await self._rooms.people.approve(pending, by, reason, signed)

    async def deny(
        self, pending: Pending | str, *, by: Principal, reason: str = "", signed: Signature | None = None
    ) -> None:
        """Says no."""
        await self._rooms.people.reject(pending, by, reason, signed)

    async def edit(
        self, pending: Pending | str, changes: Mapping[str, Any], *, by: Principal, reason: str = "",
        signed: Signature | None = None,
    ) -> None:  # fmt: skip
        """Changes arguments: a new proposal, decided again."""
        await self._rooms.people.edit(pending, changes, by, reason, signed)


class Questions:
    """What flows and agents asked, and unknown outcomes that a person must settle."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def list(self, *, tenant: str = "local", run: str = "") -> list[Pending]:
        """Open questions."""
        return self._rooms.people.pending(tenant, run=run, kind="question")

    async def answer(
        self, pending: Pending | str, value: Any, *, by: Principal, reason: str = "", signed: Signature | None = None
    ) -> None:
        """Answers one."""
        await self._rooms.people.answer(pending, value, by, reason, signed)

    async def resolve(
        self, pending: Pending | str, status: str, *, by: Principal, result: Any = None, reason: str = "",
        signed: Signature | None = None,
    ) -> None:  # fmt: skip
        """Settles an unknown outcome: "executed" with its result, or "failed"."""
        await self._rooms.people.resolve(pending, status, by, result, reason, signed)


class LedgerRoom:
    """The log as evidence."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def _named(self, tenant: str) -> str:
        known = self._rooms.ports.journal.tenants()
        if tenant or len(known) == 1:
            return tenant or known[0]
        raise FlyballError("which_tenant", f"there are {len(known)} logs", ", ".join(known), "name the tenant")

    async def checkpoint(self, *, tenant: str = "") -> str:
        """A signed checkpoint of everything there is. Without a name: of the only log."""
        return await self._rooms.ledger.checkpoint(self._named(tenant))

    def verifier_key(self) -> str:
        """The key that checks checkpoints."""
        return self._rooms.ledger.verifier_key()

    async def export(self, target: str | Path, *, tenant: str = "", disclose: tuple[str, ...] = ()) -> Path:
        """Writes the ledger, with the private fields of the named runs, for somebody outside."""
        tenant = self._named(tenant)
        note = await self.checkpoint(tenant=tenant)
        look, path = partial(self._rooms.ports.journal.view, tenant), Path(target)
        opened = [
            Disclosure(*parts) for run in disclose
            for parts in self._rooms.ledger.disclosures(tenant, run, self._rooms.record.disclose)
        ]  # fmt: skip
        await asyncio.to_thread(
            write_export, path, look, tenant=tenant, note=note, vkey=self.verifier_key(), disclosures=opened
        )
        return path

    async def verify(self, *, tenant: str = "") -> Report:
        """Exports to a temporary place and verifies that as an outsider would, under the signer's own key; then what
        only the owner has: payloads, look-ups and rows."""
        tenant = self._named(tenant)
        with tempfile.TemporaryDirectory() as folder:
            path = await self.export(Path(folder) / "export", tenant=tenant)
            report = await asyncio.to_thread(verify_directory, path, vkey=self.verifier_key())
        stored = await asyncio.to_thread(self._stored, tenant)
        return replace(report, checks=(*report.checks, *stored))

    def _stored(self, tenant: str) -> tuple[Check, ...]:
        journal, record = self._rooms.ports.journal, self._rooms.record
        kept = Findings("journal")
        for flaw in journal.flaws():
            kept.add(flaw)
        return kept.check("what is kept twice is the same"), *verify_store(
            partial(journal.view, tenant), lambda stored: record.disclose(tenant, stored, journal.view(tenant)),
            partial(record.person, tenant), parse_vkey(self.verifier_key()), self._rooms.ledger.origin(tenant),
        )  # fmt: skip

    async def prove(self, record: str, *, tenant: str = "") -> str:
        """A self-contained proof that a record is in the log."""
        tenant = self._named(tenant)
        note = await self.checkpoint(tenant=tenant)
        index = self._rooms.ledger.index_of(tenant, record)
        return prove(self._rooms.ports.journal.view(tenant), index, note)


class Budgets:
    """What was reserved and spent."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def list(self, *, tenant: str = "local") -> list[BudgetRow]:
        """Every budget node of a tenant."""
        return self._rooms.ports.journal.view(tenant).rows(BudgetRow)


class Keys:
    """The directory of people's public keys."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def list(self, *, tenant: str = "local") -> list[KeyRow]:
        """Every key."""
        return self._rooms.ports.journal.view(tenant).rows(KeyRow)

    async def enrol(self, row: KeyRow, *, tenant: str = "local") -> None:
        """Adds a public key to the directory, as a leaf."""
        if row.id != enrolled(written(row.public)):
            raise FlyballError("bad_key", f"{row.id} is not the id of this public key", fix="flyball key create NAME")
        await self._rooms.ledger.open(tenant)  # a key may be the first that is heard of a tenant
        person = self._rooms.record.person(tenant, row.person)
        facts = {"key": row.id, "groups": list(row.groups), "public": row.public, "person": person}
        event = Event(kind="key_created", path=row.id, facts=facts)
        answer = await self._rooms.record.write(tenant, event, put=(row,), raises=("directory",))
        if answer.repeated:
            raise FlyballError("key_exists", f"key {row.id[:12]} was enrolled before", fix="enrol another key")
        self._rooms.enforce.refresh(tenant)

    async def revoke(self, id: str, *, tenant: str = "local") -> None:
        """Ends a key's use at once."""
        row = self._rooms.ports.journal.view(tenant).row(KeyRow, id)
        if row is None:
            raise FlyballError("unknown_key", f"there is no key {id}", fix="flyball key list")
        gone = msgspec.structs.replace(row, revoked=self._rooms.ports.clock.now())
        event = Event(kind="key_revoked", path=row.id, facts={"key": row.id})
        await self._rooms.record.write(tenant, event, put=(gone,), raises=("directory",))
        self._rooms.enforce.refresh(tenant)

    def principal(self, id: str, *, tenant: str = "local") -> Principal:
        """Who acts with this key; raises `auth_failed` for an unknown or revoked one, `journal_corrupt` for one that no
        record creates."""
        row = self._rooms.ports.journal.view(tenant).row(KeyRow, id)
        if row is None or row.revoked:
            raise FlyballError("auth_failed", f"key {id[:12]} is not in this project's directory",
                               fix="flyball key create NAME --group GROUP")  # fmt: skip
        view, person = self._rooms.ports.journal.view(tenant), partial(self._rooms.record.person, tenant)
        wrong = key_objection(row, view.records(run=NO_RUN, limit=1_000_000), person)
        if wrong:
            raise changed(f"key {id[:12]}: {wrong}")
        return Principal(row.person, tenant=tenant, issuer="key", groups=frozenset(row.groups), assurance="key")


class Releases:
    """What code a run stands on."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def current(self) -> str:
        """The digest of the loaded release."""
        return release_of(self._rooms).digest

    async def check(self, run: str, *, tenant: str = "local") -> Checked:
        """What the loaded code would do otherwise than a run's log says; executes and writes nothing."""
        return await check(self._rooms, tenant, run)

    async def move(self, run: str, *, by: Principal) -> Checked:
        """Sets a run on the loaded release, where that comes to the same; raises `replay_diverged`."""
        return await move(self._rooms, by.tenant, run, by)

    async def replay(self, run: str, *, tenant: str = "local") -> Replayed:
        """Derives every verdict of a run again and folds its code over its log; executes and writes nothing."""
        return await replay(self._rooms, tenant, run)


def groups_of(row: PendingRow) -> tuple[str, ...]:
    """The groups a row waits for, as people read them."""
    return tuple(shown_group(c) for c in row.groups)


def _last(records: Sequence[Opened], *kinds: str) -> str:
    return next((r.id for r in reversed(records) if r.kind in kinds), "")
