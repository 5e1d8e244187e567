"""Policies in force: checking, activating and reading bundles. Changing policy is itself an action of the gate.

Rules (GATE section 2): an activation is a leaf; it moves the `policy` epoch, so that no verdict reached before it can be
used after it; it voids granted, unused approvals whose determining policies changed, and wakes what waits, so that an
emergency forbid reaches it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.journal import Append, Appended, BlobRow, BundleRow, PendingRow, Row, RunRow
from flyball.core.policy import Bundle, Layer, Source
from flyball.core.record import NO_RUN, Event
from flyball.ports.policy import Compiled, PolicyEngine
from flyball.ports.recording import Recording

Install = Callable[[str, Sequence[Compiled]], None]
Wake = Callable[[str, str], None]


class Policies:
    """The bundles of a project, by layer."""

    def __init__(
        self, record: Recording, engine: PolicyEngine, actions: Sequence[Action],
        entities: Mapping[str, Mapping[str, object]], install: Install, wake: Wake,
    ) -> None:  # fmt: skip
        self._record, self._engine, self._actions, self._entities = record, engine, actions, entities
        self._install, self._wake = install, wake
        self._loaded: dict[str, Compiled] = {}

    def check(self, source: Source) -> Compiled:
        """Compiles a source; raises PolicyError with everything that is wrong with it."""
        compiled = self._engine.compile(source, self._actions, self._entities)
        self._loaded[compiled.bundle.digest] = compiled
        return compiled

    def schema(self) -> str:
        """The schema that policies are checked against."""
        return self._engine.schema(self._actions, self._entities)

    def in_force(self, tenant: str) -> list[BundleRow]:
        """The active bundles of a tenant, by layer."""
        return self._record.journal.view(tenant).rows(BundleRow)

    def load(self, tenant: str, digest: str) -> Compiled:
        """A bundle that was in force at some time, from the log's own store."""
        if digest not in self._loaded:
            row = self._record.journal.view(tenant).row(BlobRow, digest)
            if row is None:
                raise FlyballError("unknown_bundle", f"there is no bundle {digest[:12]}", fix="flyball policy check")
            layer, name = self._named(tenant, digest)
            bundle = Bundle(layer=layer, name=name, digest=digest, content=row.content, ids=(), cures={})
            self._loaded[digest] = self._engine.load(bundle)
        return self._loaded[digest]

    def _named(self, tenant: str, digest: str) -> tuple[Layer, str]:
        for stored in self._record.journal.view(tenant).records(run=NO_RUN, limit=1_000_000):
            if stored.kind == "policy_activated":
                facts = msgspec.json.decode(stored.leaf)["facts"]
                if facts["digest"] == digest:
                    return facts["layer"], facts["name"]
        raise FlyballError("unknown_bundle", f"bundle {digest[:12]} was never in force")

    async def activate(self, tenant: str, compiled: Compiled, by: Principal | None) -> bool:
        """Puts a checked bundle in force for its layer; False where it was already. `by` None: at the first opening."""
        bundle = compiled.bundle
        self._loaded[bundle.digest] = compiled
        view = self._record.journal.view(tenant)
        before = view.row(BundleRow, bundle.layer)
        if before is not None and before.digest == bundle.digest:
            self.install(tenant)
            return False
        number = sum(1 for s in view.records(run=NO_RUN, limit=1_000_000) if s.kind == "policy_activated")
        rows: list[Row] = [
            BundleRow(id=bundle.layer, digest=bundle.digest, name=bundle.name, activated=self._record.clock.now()),
            BlobRow(id=bundle.digest, content=bundle.content),
            *self._voided(tenant, bundle),
        ]
        event = Event(
            kind="policy_activated", path=f"{bundle.layer}:{number}",
            facts={
                "layer": bundle.layer, "name": bundle.name, "digest": bundle.digest,
                "by": self._record.person(tenant, by.id) if by else "", "previous": before.digest if before else "",
            },
        )  # fmt: skip
        waiting = [r.id for r in view.rows(RunRow, state="waiting")]
        entry = self._record.seal(tenant, event)
        answer = await self._record.append(Append(
            id=entry.id, tenant=tenant, entries=(entry,), put=tuple(rows), raises=("policy",), wakes=tuple(waiting),
            urgent=True,
        ))  # fmt: skip
        if not isinstance(answer, Appended):
            raise FlyballError("conflict", "another activation came first", str(answer), "flyball policy activate again")
        self.install(tenant)
        for run in waiting:
            self._wake(tenant, run)
        return True

    def install(self, tenant: str) -> None:
        """Makes the gate use what the log says is in force."""
        self._install(tenant, [self.load(tenant, row.digest) for row in self.in_force(tenant)])

    def _voided(self, tenant: str, bundle: Bundle) -> list[PendingRow]:
        """Granted, unused approvals that rest on a policy of this layer which now says something else."""
        view, prefix = self._record.journal.view(tenant), f"{bundle.layer}/"
        old = view.row(BundleRow, bundle.layer)
        prints = self.load(tenant, old.digest).bundle.fingerprints if old is not None else {}
        gone = []
        for row in view.rows(PendingRow, state="granted"):
            ids = [p.removeprefix(prefix) for p in row.policies if p.startswith(prefix)]
            if any(prints.get(i) != bundle.fingerprints.get(i) for i in ids):
                gone.append(msgspec.structs.replace(row, state="void", version=row.version + 1))
        return gone
