"""Policies in force: checking, activating and reading bundles. Changing policy is itself an action of the gate.

Rules (GATE section 2): an activation is a leaf; it moves the `policy` epoch, so that no verdict reached before it can
be used after it; it voids granted, unused approvals whose determining policies changed, each with a leaf of its own,
and wakes what waits, so that an emergency forbid reaches it at once. An unrelated edit voids nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from flyball.core.attested import activations, content, in_force
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.journal import Append, Appended, BlobRow, BundleRow, Conflict, PendingRow, Row, RunRow, Seen, Stored
from flyball.core.policy import Bundle, Layer, Source
from flyball.core.record import NO_RUN, Event
from flyball.ports.journal import View
from flyball.ports.policy import Compiled, PolicyEngine
from flyball.ports.recording import Recording

Install = Callable[[str, Sequence[Compiled]], None]
Wake = Callable[[str, str], None]
# How often an activation is tried again because somebody decided an approval meanwhile.
MAX_ROUNDS = 8
ALL = 1_000_000


class Warrant(msgspec.Struct, frozen=True, kw_only=True):
    """Why somebody may activate: the verdict's facts, its request, and the epochs that it read."""

    facts: Mapping[str, Any]
    request: Any
    epochs: Mapping[str, int]


Who = tuple[Principal | None, Warrant | None]


class Policies:
    """The bundles of a project, by layer."""

    def __init__(
        self, record: Recording, engine: PolicyEngine, actions: Sequence[Action],
        entities: Mapping[str, Mapping[str, object]], install: Install, wake: Wake,
    ) -> None:  # fmt: skip
        self._record, self._engine, self._actions, self._entities = record, engine, actions, entities
        self._install, self._wake = install, wake
        self._loaded: dict[str, Compiled] = {}
        self._sources: dict[str, str] = {}
        self._looked: dict[tuple[str, str], Compiled | FlyballError] = {}

    def check(self, source: Source) -> Compiled:
        """Compiles a source; raises PolicyError with everything that is wrong with it."""
        compiled = self._engine.compile(source, self._actions, self._entities)
        self._loaded[compiled.bundle.digest] = compiled
        self._sources[compiled.bundle.digest] = text_digest(source)
        return compiled

    def look(self, source: Source) -> Compiled:
        """What `check` said of the same texts before, or says now: for those who ask again and again."""
        key = (source.layer, text_digest(source))
        if key not in self._looked:
            try:
                self._looked[key] = self.check(source)
            except FlyballError as refused:
                self._looked[key] = refused
        known = self._looked[key]
        if isinstance(known, FlyballError):
            raise known
        return known

    def made_of(self, tenant: str, layer: str) -> tuple[str, str]:
        """The digests of the texts and of the tools that the active bundle of a layer was made of; empty where the log
        does not say."""
        of_layer = [f for f in activations(_apart(self._record.journal.view(tenant))) if f["layer"] == layer]
        last: Mapping[str, Any] = of_layer[-1] if of_layer else {}
        return str(last.get("source", "")), str(last.get("tools", ""))

    def tools_digest(self) -> str:
        """SHA-256 over everything of actions and entities that a schema is made of."""
        seen = [
            [a.kind, a.name, a.effect, a.egress, a.risk, a.input_schema, sorted(a.critical), sorted(a.refs.items())]
            for a in sorted(self._actions, key=lambda a: (a.kind, a.name))
        ]
        return hashlib.sha256(msgspec.json.encode([seen, self._entities], order="sorted")).hexdigest()

    def schema(self) -> str:
        """The schema that policies are checked against."""
        return self._engine.schema(self._actions, self._entities)

    def in_force(self, tenant: str) -> list[BundleRow]:
        """The active bundles of a tenant, by layer; raises `journal_corrupt` where the log put others in force."""
        view = self._record.journal.view(tenant)
        return in_force(view.rows(BundleRow), _apart(view))

    def loaded(self, tenant: str) -> list[Compiled]:
        """The active bundles of a tenant, ready to evaluate."""
        return [self.load(tenant, row.digest) for row in self.in_force(tenant)]

    def load(self, tenant: str, digest: str) -> Compiled:
        """A bundle that was in force at some time, from the log's own store. Raises `unknown_bundle`, or
        `journal_corrupt` where what is kept is another one."""
        if digest not in self._loaded:
            row = self._record.journal.view(tenant).row(BlobRow, digest)
            if row is None:
                raise FlyballError("unknown_bundle", f"there is no bundle {digest[:12]}", fix="flyball policy check")
            layer, name = self._named(tenant, digest)
            bundle = Bundle(layer=layer, name=name, digest=digest, content=content(row), ids=(), cures={})
            self._loaded[digest] = self._engine.load(bundle)
        return self._loaded[digest]

    def _named(self, tenant: str, digest: str) -> tuple[Layer, str]:
        for facts in activations(_apart(self._record.journal.view(tenant))):
            if facts["digest"] == digest:
                return facts["layer"], facts["name"]
        raise FlyballError("unknown_bundle", f"bundle {digest[:12]} was never in force")

    async def activate(
        self, tenant: str, compiled: Compiled, by: Principal | None, warrant: Warrant | None = None
    ) -> bool:
        """Puts a checked bundle in force for its layer; False where it was already. By nobody: at the first opening of
        a project. Raises `conflict` where another activation came first or the verdict is out of date."""
        bundle = compiled.bundle
        self._loaded[bundle.digest] = compiled
        for _ in range(MAX_ROUNDS):
            view = self._record.journal.view(tenant)
            before = view.row(BundleRow, bundle.layer)
            if before is not None and before.digest == bundle.digest:
                self.install(tenant)
                return False
            waiting = tuple(r.id for r in view.rows(RunRow, state="waiting"))
            answer = await self._record.append(self._append(tenant, bundle, (by, warrant), waiting))
            if isinstance(answer, Conflict) and answer.what == "pending":
                continue  # somebody decided an approval that this would void: looked at again
            # Repeated: another bundle took this place in the log.
            if not isinstance(answer, Appended) or answer.repeated:
                fix = "flyball policy activate, again"
                raise FlyballError("conflict", "something else was activated or revoked first", str(answer), fix)
            self.install(tenant)
            for run in waiting:
                self._wake(tenant, run)
            return True
        raise FlyballError("conflict", "approvals were decided faster than this bundle could be activated")

    def install(self, tenant: str) -> None:
        """Makes the gate use what the log says is in force."""
        self._install(tenant, self.loaded(tenant))

    # parts -----------------------------------------------------------------------------------------------------------
    def _append(self, tenant: str, bundle: Bundle, who: Who, waiting: tuple[str, ...]) -> Append:
        view, warrant = self._record.journal.view(tenant), who[1]
        void = self._voided(tenant, view, bundle)
        events = [self._event(tenant, view, bundle, who), *(_void_event(row) for row in void)]
        entries = tuple(self._record.seal(tenant, event) for event in events)
        rows: list[Row] = [
            BundleRow(id=bundle.layer, digest=bundle.digest, name=bundle.name, activated=self._record.clock.now()),
            BlobRow(id=bundle.digest, content=bundle.content),
            *(msgspec.structs.replace(row, state="void", version=row.version + 1) for row in void),
        ]
        return Append(
            id=entries[0].id, tenant=tenant, entries=entries, put=tuple(rows), raises=("policy",), wakes=waiting,
            urgent=True, expect=tuple((row.id, row.version) for row in void),
            epochs=tuple(Seen(name, value) for name, value in warrant.epochs.items()) if warrant else (),
        )  # fmt: skip

    def _event(self, tenant: str, view: View, bundle: Bundle, who: Who) -> Event:
        by, warrant = who
        before = view.row(BundleRow, bundle.layer)
        facts = {
            "layer": bundle.layer, "name": bundle.name, "digest": bundle.digest,
            "previous": before.digest if before else "", "by": self._record.person(tenant, by.id) if by else "",
            "source": self._sources.get(bundle.digest, ""), "tools": self.tools_digest(),
        }  # fmt: skip
        private: dict[str, Any] = {"person": by.id} if by else {}
        if warrant is not None:
            facts |= warrant.facts
            private["request"] = warrant.request
        path = f"{bundle.layer}:{len(activations(_apart(view)))}"
        return Event(
            kind="policy_activated", path=path, facts=facts, private=private,
            subjects=(by.id,) if by else (),
        )  # fmt: skip

    def _voided(self, tenant: str, view: View, bundle: Bundle) -> list[PendingRow]:
        """Granted, unused approvals that rest on a policy of this layer which now says something else."""
        prefix = f"{bundle.layer}/"
        old = view.row(BundleRow, bundle.layer)
        prints = self.load(tenant, old.digest).bundle.fingerprints if old is not None else {}
        gone = []
        for row in view.rows(PendingRow, state="granted"):
            ids = [p.removeprefix(prefix) for p in row.policies if p.startswith(prefix)]
            if row.kind == "approval" and any(prints.get(i) != bundle.fingerprints.get(i) for i in ids):
                gone.append(row)
        return gone


def text_digest(source: Source) -> str:
    """SHA-256 over the names and texts of a source: what a person edits, comments included."""
    return hashlib.sha256(msgspec.json.encode(sorted(source.files.items()))).hexdigest()


def _apart(view: View) -> list[Stored]:
    return view.records(run=NO_RUN, limit=ALL)


def _void_event(row: PendingRow) -> Event:
    return Event(
        kind="voided", run=row.run, path=f"{row.path}!{row.version}", attempt=int(row.id.rpartition("#")[2]),
        facts={"pending": row.id, "over": row.over, "why": "policy"},
    )  # fmt: skip
