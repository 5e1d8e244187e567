"""Commands that change something: starting and stopping runs, people's decisions, keys, evidence.

Rules:

* The operating-system user may start, resume and stop runs, and take evidence out. Deciding needs a person's key.
* An approval arrives with the `over` of the version that was shown and a signature over it; the signature is checked
  against the enrolled key before anything else is looked at.
* The first keys of a project are enrolled by its operating-system user. Once somebody is in the group `admin`, only
  an admin's key changes the directory.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from flyball.app.control.callers import Caller
from flyball.app.control.office import Office
from flyball.app.control.reading import Nothing, asked_data, result_data
from flyball.core.canonical import MAX_BYTES, parse_json
from flyball.core.credential import enrolled, verify_approval, written
from flyball.core.errors import FlyballError
from flyball.core.event import Ended
from flyball.core.journal import KeyRow, RunRow
from flyball.core.lifecycle import DUE
from flyball.core.limits import Limits
from flyball.core.result import Pending, Result, Waiting
from flyball.core.signature import from_json

ADMIN: Final = "admin"


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run to start: `what` a flow or agent, `input` as a person typed it, `wait` to its end, people included."""

    what: str
    input: str
    key: str = ""
    session: str = ""
    subject: str = ""
    limits: Mapping[str, str] = {}
    wait: bool = False


class Resume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run to go on with; without one, every run that is due."""

    run: str = ""
    wait: bool = False


class Stop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run to end."""

    run: str
    reason: str


class Decide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's yes or no to the version `over`; a yes is signed."""

    id: str
    over: str
    reason: str = ""
    signature: str = ""


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other arguments, as one JSON object."""

    id: str
    over: str
    changes: str
    reason: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer to a question, as JSON."""

    id: str
    over: str
    value: str
    reason: str = ""


class Resolve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of an unknown outcome; `result` as JSON, empty for none."""

    id: str
    over: str
    status: str
    result: str = ""
    reason: str = ""


class Enrol(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public key (base64) for a person."""

    name: str
    groups: tuple[str, ...]
    public: str


class Revoke(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that ends now."""

    key: str


class Export(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where evidence goes (an absolute directory), and the runs whose private fields go with it."""

    directory: str
    disclose: tuple[str, ...] = ()


class Prove(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record to prove, by its id; or a run."""

    record: str


# runs ----------------------------------------------------------------------------------------------------------------
async def run(office: Office, caller: Caller, wanted: Start) -> dict[str, Any]:
    """Starts a run and drives it to its end, or to where it waits."""
    tenant, project = caller.by.tenant, office.rooms.project
    value = project.flows.get(wanted.what) or project.agents.get(wanted.what)
    if value is None:
        known = ", ".join(sorted([*project.flows, *project.agents])) or "none"
        raise FlyballError("unknown_flow", f"there is no flow or agent {wanted.what!r}", f"there are: {known}",
                           "Name its module under [project] modules in flyball.toml.")  # fmt: skip
    made = typed(wanted.input, value.input, office.rooms.config.input.max_bytes)
    id = await office.runs.start(
        value, made, caller.by, wanted.key, wanted.session, wanted.subject, limits_of(wanted.limits)
    )
    return await _driven(office, tenant, id, wait=wanted.wait)


async def resume(office: Office, caller: Caller, wanted: Resume) -> dict[str, Any]:
    """Goes on with a run, or with every run that is due."""
    tenant = caller.by.tenant
    await office.runs.ready(tenant)
    if wanted.run:
        office.runs.row(wanted.run, tenant=tenant)
        return {"runs": [await _driven(office, tenant, wanted.run, wait=wanted.wait)]}
    rows = [r for r in office.runs.list(tenant=tenant) if _due(office, tenant, r) and not r.review]
    return {"runs": [await _driven(office, tenant, row.id, wait=wanted.wait) for row in rows]}


def _due(office: Office, tenant: str, row: RunRow) -> bool:
    return row.state in DUE or office.rooms.driver.due(tenant, row)


async def _driven(office: Office, tenant: str, id: str, *, wait: bool) -> dict[str, Any]:
    result: Result[Any] = await office.runs.resume(id, tenant=tenant)
    if wait and isinstance(result, Waiting):
        async for event in office.watch(run=id, after=0, tenant=tenant):
            if isinstance(event, Ended):
                break
        result = await office.runs.result(id, tenant=tenant)
    return result_data(result, office.runs.row(id, tenant=tenant).state)


async def stop(office: Office, caller: Caller, wanted: Stop) -> dict[str, Any]:
    """Ends a run at its next step."""
    stopped = await office.runs.stop(wanted.run, wanted.reason, by=caller.by)
    return result_data(stopped, office.runs.row(wanted.run, tenant=caller.by.tenant).state)


def typed(text: str, kind: Any, max_bytes: int = MAX_BYTES) -> Any:
    """An input as the declared type: JSON, or the bare text where that fits. Raises FlyballError `bad_input`."""
    if not text and kind not in (Any, None, type(None)):
        raise FlyballError(
            "bad_input", "there is no input", f"it takes {getattr(kind, '__name__', kind)}", "Give JSON or text."
        )
    if kind is str and not text.lstrip().startswith('"'):
        return text
    try:
        data = parse_json(text or "null", max_bytes=max_bytes)
    except FlyballError as bad:
        data, problem = text, str(bad)
    else:
        problem = ""
    try:
        return from_json(data, kind)
    except (msgspec.ValidationError, TypeError, ValueError) as bad:
        why = f"{bad}; read as text, because: {problem}" if problem else str(bad)
        raise FlyballError("bad_input", "the input does not fit", why, "Give JSON, or @FILE with JSON in it.") from bad


def limits_of(given: Mapping[str, str]) -> Limits | None:
    """Limits as typed on a command line; raises FlyballError `bad_limit`."""
    if not given:
        return None
    unknown = sorted(given.keys() - set(Limits.__struct_fields__))
    if unknown:
        known = ", ".join(Limits.__struct_fields__)
        raise FlyballError("bad_limit", f"there is no limit {unknown[0]!r}", f"there are: {known}")
    read: dict[str, Any] = {}
    for name, text in given.items():
        try:
            read[name] = text if name == "usd" else float(text) if name == "seconds" else int(text)
        except ValueError as bad:
            raise FlyballError("bad_limit", f"{name}={text!r} is no limit", "it is no number") from bad
    return Limits(**read)


# people --------------------------------------------------------------------------------------------------------------
async def approve(office: Office, caller: Caller, wanted: Decide) -> dict[str, Any]:
    """Records a person's signature over exactly what was shown."""
    row = office.rooms.ports.journal.view(caller.by.tenant).row(KeyRow, caller.key)
    public = base64.b64decode(row.public) if row is not None else b""
    if not verify_approval(public, wanted.over, wanted.signature):
        raise FlyballError("request_refused", "the approval is refused", "its signature does not hold")
    shown = _shown(office, caller, wanted.id, wanted.over)
    signed = (caller.key, wanted.signature)
    await office.approvals.approve(shown, by=caller.by, reason=wanted.reason, signed=signed)
    return _decided(office, caller, shown, "approved")


async def deny(office: Office, caller: Caller, wanted: Decide) -> dict[str, Any]:
    """Records a person's no."""
    shown = _shown(office, caller, wanted.id, wanted.over)
    await office.approvals.deny(shown, by=caller.by, reason=wanted.reason)
    return _decided(office, caller, shown, "rejected")


async def edit(office: Office, caller: Caller, wanted: Edit) -> dict[str, Any]:
    """Records other arguments: a new proposal, decided again."""
    shown = _shown(office, caller, wanted.id, wanted.over)
    changes = parse_json(wanted.changes)
    if not isinstance(changes, dict):
        raise FlyballError("bad_edit", "the changes are no object", fix="flyball edit ID NAME=VALUE")
    await office.approvals.edit(shown, changes, by=caller.by, reason=wanted.reason)
    return _decided(office, caller, shown, "edited") | {"changed": changes}


async def answer(office: Office, caller: Caller, wanted: Answer) -> dict[str, Any]:
    """Records an answer to a question."""
    shown, value = _shown(office, caller, wanted.id, wanted.over), parse_json(wanted.value)
    await office.questions.answer(shown, value, by=caller.by, reason=wanted.reason)
    return _decided(office, caller, shown, "answered") | {"value": value}


async def resolve(office: Office, caller: Caller, wanted: Resolve) -> dict[str, Any]:
    """Records what became of an unknown outcome."""
    shown = _shown(office, caller, wanted.id, wanted.over)
    result = parse_json(wanted.result) if wanted.result else None
    await office.questions.resolve(shown, wanted.status, by=caller.by, result=result, reason=wanted.reason)
    return _decided(office, caller, shown, wanted.status)


def _shown(office: Office, caller: Caller, id: str, over: str) -> Pending:
    """The pending thing, in the version that the person was shown."""
    return replace(office.approvals.get(id, tenant=caller.by.tenant), over=over)


def _decided(office: Office, caller: Caller, shown: Pending, what: str) -> dict[str, Any]:
    tenant = caller.by.tenant
    now = asked_data(office, tenant, shown.id)
    drives = office.rooms.driver.drives(tenant, shown.run)
    return {
        "id": shown.id, "run": shown.run, "did": what, "by": caller.by.id, "about": shown.about, "over": shown.over,
        "state": now["state"], "groups": now["groups"], "driven": drives,
    }  # fmt: skip


# keys ----------------------------------------------------------------------------------------------------------------
async def key_enrol(office: Office, caller: Caller, wanted: Enrol) -> dict[str, Any]:
    """Adds a person's public key to the directory."""
    _may_change(office, caller)
    row = KeyRow(
        id=enrolled(written(wanted.public)), person=f"user:{wanted.name}", groups=tuple(sorted(set(wanted.groups))),
        public=wanted.public, created=office.rooms.ports.clock.now(),
    )  # fmt: skip
    known = office.rooms.ports.journal.view(caller.by.tenant).row(KeyRow, row.id)
    if known is not None:
        why = "it was revoked" if known.revoked else f"for {known.person}, in {', '.join(known.groups) or 'no group'}"
        raise FlyballError(
            "key_exists",
            f"key {row.id[:12]} is in the directory",
            why,
            "Revoke that key first (flyball key revoke), or choose another name.",
        )
    await office.keys.enrol(row, tenant=caller.by.tenant)
    return msgspec.to_builtins(row)  # type: ignore[no-any-return]


async def key_revoke(office: Office, caller: Caller, wanted: Revoke) -> dict[str, Any]:
    """Ends a key, named by its id or by the person whose only key it is."""
    _may_change(office, caller)
    rows = [r for r in office.keys.list(tenant=caller.by.tenant) if not r.revoked]
    found = [r for r in rows if wanted.key in (r.id, r.person, r.person.partition(":")[2])]
    if len(found) != 1:
        why = (
            f"{len(found)} keys belong to {wanted.key}: name one by its id"
            if found
            else "no valid key has this id or person"
        )
        raise FlyballError("unknown_key", f"which key is {wanted.key!r}?", why, "flyball key list")
    await office.keys.revoke(found[0].id, tenant=caller.by.tenant)
    return {"key": found[0].id, "person": found[0].person}


def _may_change(office: Office, caller: Caller) -> None:
    admins = [r for r in office.keys.list(tenant=caller.by.tenant) if ADMIN in r.groups and not r.revoked]
    if admins and ADMIN not in caller.by.groups:
        names = ", ".join(sorted({r.person.partition(":")[2] for r in admins}))
        raise FlyballError("not_eligible", "the directory of keys is not changed",
                           "this project has admins, and only they change it", f"{names} can.")  # fmt: skip


# evidence ------------------------------------------------------------------------------------------------------------
async def verify(office: Office, caller: Caller, _: Nothing) -> dict[str, Any]:
    """Verifies the ledger as an outsider would."""
    return report_data(await office.ledger.verify(tenant=caller.by.tenant))


def report_data(report: Any) -> dict[str, Any]:
    """A report as plain data."""
    return {**asdict(report), "ok": report.ok, "summary": report.summary}


async def export(office: Office, caller: Caller, wanted: Export) -> dict[str, Any]:
    """Writes the evidence to a directory."""
    tenant = caller.by.tenant
    for run in wanted.disclose:
        office.runs.row(run, tenant=tenant)
    path = await office.ledger.export(Path(wanted.directory), tenant=tenant, disclose=wanted.disclose)
    _, frontier = office.rooms.ports.journal.view(tenant).tree()
    return {"directory": str(path), "size": frontier.size, "vkey": office.ledger.verifier_key(),
            "disclosed": list(wanted.disclose)}  # fmt: skip


async def prove(office: Office, caller: Caller, wanted: Prove) -> dict[str, Any]:
    """The proof of one record; of a run's last one where a run is named."""
    tenant, record = caller.by.tenant, wanted.record
    if "/" not in record:
        office.runs.row(record, tenant=tenant)
        record = office.runs.records(record, tenant=tenant)[-1].id
    proof = await office.ledger.prove(record, tenant=tenant)
    return {"record": record, "proof": proof, "vkey": office.ledger.verifier_key()}


async def checkpoint(office: Office, caller: Caller, _: Nothing) -> dict[str, Any]:
    """A signed checkpoint."""
    note = await office.ledger.checkpoint(tenant=caller.by.tenant)
    return {"checkpoint": note, "vkey": office.ledger.verifier_key()}
