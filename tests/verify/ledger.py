"""A small real ledger to export and to tamper with: leaves, tree, signer and approver are real, storage is a list."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from flyball.adapters.signer_memory import MemorySigner
from flyball.core.approval import over
from flyball.core.commitment import commit
from flyball.core.credential import SigningKey, sign_approval
from flyball.core.journal import BlobRow, CheckpointRow, Stored
from flyball.core.merkle import Frontier, leaf_hash, new_nodes
from flyball.core.record import Event, commitments, leaf
from flyball.runtime.export import Disclosure, write_export

TENANT, ORIGIN, LOG = "acme", "desk/t/acme", "10" * 16
SEED = bytes(range(32))
ANNA = SigningKey(name="anna", seed=b"anna".ljust(32, b"."))
KIM, ANNA_AS, BOB = "01" * 16, "02" * 16, "03" * 16
POLICY = b'{"staticPolicies":{}}'
BUNDLE = sha256(POLICY).hexdigest()
PROMPT = b"You write proposals."
SCHEMA = "ab" * 32


@dataclass
class Ledger:
    """Implements what an export reads of `ports.journal.View`; `openings` keeps salt and bytes of private fields."""

    leaves: list[bytes] = field(default_factory=list)
    rows_: list[Any] = field(default_factory=list)
    openings: dict[tuple[str, str], tuple[bytes, bytes]] = field(default_factory=dict)
    signer: MemorySigner = field(default_factory=lambda: MemorySigner("desk", SEED))
    time: int = 1_700_000_000_000_000

    def add(self, event: Event) -> str:
        self.time += 1000
        data = {name: json.dumps(value).encode() for name, value in event.private.items()}
        salts = {name: event.salts.get(name) or sha256(f"{event.id}{name}".encode()).digest() for name in data}
        self.openings |= {(event.id, name): (salts[name], data[name]) for name in data}
        self.leaves.append(leaf(event, TENANT, self.time, commitments(data, salts)))
        return event.id

    def commit_of(self, record: str, name: str) -> str:
        return commit(name, *self.openings[record, name])

    def change(self, index: int, **changes: Any) -> None:
        """Edits a leaf as whoever holds database and key could: well formed, with a new tree."""
        told = json.loads(self.leaves[index])
        for name, value in changes.items():
            place = told["facts"] if name in told["facts"] else told["commit"] if name in told["commit"] else told
            place[name] = value
        self.leaves[index] = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def index(self, part: str) -> int:
        return next(n for n, raw in enumerate(self.leaves) if part in json.loads(raw)["id"])

    def sign(self, size: int | None = None) -> str:
        frontier = Frontier()
        hashes = [leaf_hash(raw) for raw in self.leaves[:size]]
        for one in hashes:
            frontier = frontier.append(one)
        return MemorySigner("desk", SEED).sign(LOG, ORIGIN, frontier, lambda start, end: hashes[start:end])

    def checkpoint(self) -> str:
        note = self.sign()
        self.rows_.append(CheckpointRow(id=f"{len(self.leaves):016}", note=note, time=self.time))
        return note

    def disclosure(self, record: str, name: str) -> Disclosure:
        return Disclosure(record, name, *self.openings[record, name])

    def export(self, target: Path, **rest: Any) -> Path:
        vkey, note, look = self.signer.verifier_key(), rest.pop("note", None) or self.sign(), cast("Any", self)
        write_export(target, lambda: look, tenant=TENANT, note=note, vkey=vkey, **rest)
        return target

    # what an export reads ------------------------------------------------------------------------------------------
    def row(self, kind: type[Any], id: str) -> Any:
        return next((row for row in self.rows_ if type(row) is kind and row.id == id), None)

    def rows(self, kind: type[Any]) -> list[Any]:
        return [row for row in self.rows_ if type(row) is kind]

    def page(self, kind: type[Any], after: str, limit: int) -> list[Any]:
        return [row for row in self.rows(kind) if row.id > after][:limit]

    def records(self, *, after: int = -1, limit: int = 10_000) -> list[Stored]:
        return [_stored(n, self.leaves[n]) for n in range(after + 1, min(len(self.leaves), after + 1 + limit))]

    def tree(self) -> tuple[str, Frontier]:
        frontier = Frontier()
        for raw in self.leaves:
            frontier = frontier.append(leaf_hash(raw))
        return LOG, frontier

    def node(self, level: int, index: int) -> bytes:
        return dict(self._nodes())[level, index]

    def _nodes(self) -> Iterator[tuple[tuple[int, int], bytes]]:
        frontier = Frontier()
        for raw in self.leaves:
            frontier, new = new_nodes(frontier, leaf_hash(raw))
            yield from (((level, index), digest) for level, index, digest in new)


def _stored(index: int, raw: bytes) -> Stored:
    try:
        told = json.loads(raw)
        kind = told["kind"]
    except ValueError:
        kind = "gap"
    return Stored(index=index, id="", kind=kind, run="", path="", attempt=0, time=0, leaf=raw, payload=None)


def action(name: str, outcome: str, **more: Any) -> dict[str, Any]:
    return {
        "action": name, "action_kind": "tool", "effect": "irreversible", "schema": SCHEMA, "outcome": outcome,
        "reason": "", "bundles": [BUNDLE], "policies": ["project/base"], "cures": [], "by": KIM, "chain": ["writer"],
        "release": "r1", **more,
    }  # fmt: skip


def asking(ledger: Ledger, path: str, expires: int = 0, cures: tuple[str, ...] = ("project/finance",)) -> Event:
    """The question before `send` at a step of run r-1: what it covers, with fresh commitments."""
    private = {"args": {"to": "c@x.example"}, "origins": {"/to": "trusted"}, "resource": {"id": "7"}, "chain": ["kim"]}
    salts = {name: sha256(f"{path}{name}".encode()).digest() for name in private}
    covers = {
        "tenant": TENANT, "run": "r-1", "path": path, "action": "send", "schema": SCHEMA, "policies": ["project/pay"],
        "cures": list(cures), "expires": expires,
        **{name: commit(name, salts[name], json.dumps(private[name]).encode()) for name in private},
    }  # fmt: skip
    facts = {
        "pending": f"r-1/{path}#1",
        "kind": "approval",
        "covers": covers,
        "over": over(covers),
        "bundles": [BUNDLE],
    }
    return Event(
        kind="asked", run="r-1", path=f"{path}#1", attempt=1, facts=facts, salts=salts,
        private=private | {"shown": "Send to c@x.example?"},
    )  # fmt: skip


def approving(asked: Event, by: str = ANNA_AS, cure: str = "project/finance", n: int = 1, **more: Any) -> Event:
    digest = asked.facts["over"]
    facts = {
        "pending": asked.facts["pending"], "over": digest, "by": by, "cure": cure, "assurance": "key", "key": ANNA.id,
        "sig": sign_approval(ANNA, digest), **more,
    }  # fmt: skip
    path = asked.path.partition("#")[0]
    return Event(kind="approved", run="r-1", path=f"{path}!{n}", facts=facts, private={"reason": "fine"})


def lifted(asked: Event, path: str, attempt: int = 1, **more: Any) -> Event:
    private = {name: asked.private[name] for name in ("args", "origins", "resource", "chain")}
    used = {"pending": asked.facts["pending"], "over": asked.facts["over"]}
    return Event(
        kind="intent", run="r-1", path=path, attempt=attempt, salts=asked.salts, private=private | {"request": {}},
        facts=action("send", "allow", key="cd" * 16, approval=used, **more),
    )  # fmt: skip


def key_created(key: SigningKey = ANNA, groups: tuple[str, ...] = ("finance",)) -> Event:
    facts = {"key": key.id, "groups": list(groups), "public": base64.b64encode(key.public).decode()}
    return Event(kind="key_created", path=key.id, facts=facts)


def outcome(path: str, status: str = "executed", run: str = "r-1", attempt: int = 1) -> Event:
    facts = {"status": status, "code": "", "usage": {"calls": 1}, "result_invalid": False, "certain": True}
    return Event(kind="outcome", run=run, path=path, attempt=attempt, facts=facts, private={"result": {"id": 1}})


def started(run: str, by: str = KIM) -> Event:
    facts = {"kind": "flow", "what": "proposal", "release": "r1", "by": by, "key": False}
    return Event(kind="run_started", run=run, facts=facts, private={"input": {"customer": 7}})


def story() -> Ledger:
    """A completed run with a read, an approved send and a denied mail; a second run whose intent is open."""
    log = Ledger()
    log.rows_ += [BlobRow(id=BUNDLE, content=POLICY), BlobRow(id=sha256(PROMPT).hexdigest(), content=PROMPT)]
    log.add(Event(kind="opened", path="log", facts={"log": LOG, "origin": ORIGIN}))
    facts = {"layer": "project", "name": "base", "digest": BUNDLE, "by": KIM, "previous": ""}
    log.add(Event(kind="policy_activated", path="project:1", facts=facts))
    parts = {"prompt": sha256(PROMPT).hexdigest(), "code": "ef" * 32}
    log.add(Event(kind="release_loaded", path="r1", facts={"digest": "r1", "parts": parts}))
    log.add(key_created())
    log.add(started("r-1"))
    log.add(_intent("r-1", "1", "crm_read"))
    log.add(outcome("1"))
    log.checkpoint()
    asked = asking(log, "2")
    for event in (asked, approving(asked), lifted(asked, "2"), outcome("2")):
        log.add(event)
    private = {"args": {"to": "stranger@y.example"}, "request": {}, "origins": {}}
    log.add(Event(kind="decision", run="r-1", path="3", attempt=1, facts=action("mail", "deny"), private=private))
    log.add(Event(kind="run_ended", run="r-1", facts={"reason": "completed", "ok": True}, private={"result": 1}))
    log.add(started("r-2"))
    log.add(_intent("r-2", "1", "crm_read"))
    return log


def _intent(run: str, path: str, name: str) -> Event:
    private = {"args": {"customer": 7}, "request": {}, "origins": {}}
    return Event(kind="intent", run=run, path=path, attempt=1, facts=action(name, "allow"), private=private)
