"""Comparing: what a bundle would have decided otherwise, over the decisions that the log holds.

Approvals that were given are left out: what is compared is what policy asks for, not what people said then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from flyball.app.cases import Asked, groups
from flyball.app.verdicts import DECIDED, WINDOW, Verdicts
from flyball.app.wiring import Rooms
from flyball.core.decision import Decision
from flyball.core.errors import FlyballError
from flyball.core.journal import RunRow
from flyball.core.policy import Bundle
from flyball.core.record import NO_RUN, Opened
from flyball.ports.policy import Compiled
from flyball.runtime.enforce import layers_of

STRICT: Final[Mapping[str, int]] = {"allow": 0, "modify": 1, "require_approval": 2, "deny": 3}


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle against the one in force: its policies by id, and recorded decisions that would be others now."""

    layer: str
    digest: str
    previous: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    decided: int = 0
    looser: tuple[str, ...] = ()
    tighter: tuple[str, ...] = ()


def compare(rooms: Rooms, tenant: str, compiled: Compiled, last: int) -> Changes:
    """The bundle against the one in force in its layer, and over the `last` recorded decisions of the tenant."""
    bundle = compiled.bundle
    active = rooms.policies.loaded(tenant)
    before = next((c.bundle for c in active if c.bundle.layer == bundle.layer), None)
    now = layers_of(active)
    then = layers_of([*(c for c in active if c.bundle.layer != bundle.layer), compiled])
    decided, looser, tighter = 0, list[str](), list[str]()
    for record, asked in _recorded(rooms, tenant, last):
        decided += 1
        old, new = asked.decide(now), asked.decide(then)
        if _rank(new) != _rank(old):
            group = looser if _rank(new) < _rank(old) else tighter
            group.append(f"{asked.action.name} in {record.id}: {_shown(old)} -> {_shown(new)}")
    old_prints = before.fingerprints if before is not None else {}
    return Changes(
        layer=bundle.layer, digest=bundle.digest, previous=before.digest if before is not None else "", decided=decided,
        looser=tuple(looser), tighter=tuple(tighter), **_ids(old_prints, bundle),
    )  # fmt: skip


def _ids(old: Mapping[str, str], bundle: Bundle) -> dict[str, Any]:
    new = bundle.fingerprints
    return {
        "added": tuple(sorted(new.keys() - old.keys())), "removed": tuple(sorted(old.keys() - new.keys())),
        "changed": tuple(sorted(id for id in new.keys() & old.keys() if new[id] != old[id])),
    }  # fmt: skip


def _rank(decision: Decision) -> tuple[int, int]:
    return STRICT[decision.outcome], len(decision.missing)


def _shown(decision: Decision) -> str:
    asks = ", ".join(groups(decision))
    return f"{decision.outcome} ({asks})" if asks else decision.outcome


def _recorded(rooms: Rooms, tenant: str, last: int) -> Iterator[tuple[Opened, Asked]]:
    """The latest decision of each of the last steps that policy was asked about, newest first."""
    view, verdicts = rooms.ports.journal.view(tenant), Verdicts(rooms, tenant)
    _, frontier = view.tree()
    found = view.records(after=max(-1, frontier.size - WINDOW - 1), limit=WINDOW)
    seen: set[tuple[str, str]] = set()
    for stored in reversed(found):
        place = (stored.run, stored.path.partition("#")[0])
        if stored.kind not in DECIDED or stored.run == NO_RUN or place in seen:
            continue
        record = rooms.record.open(tenant, stored, view)
        asked = _asked(verdicts, record, _release(view.row(RunRow, stored.run)))
        if asked is not None:
            seen.add(place)
            yield record, asked
        if len(seen) >= last:
            return


def _release(row: RunRow | None) -> str:
    return row.release if row is not None else ""


def _asked(verdicts: Verdicts, record: Opened, release: str) -> Asked | None:
    if record.facts.get("kind", "approval") != "approval":
        return None
    try:
        asked = verdicts.asked(record, release)
    except FlyballError:  # erased, or made before the log kept releases: it cannot be decided again
        return None
    if asked is None:
        return None
    bare: Mapping[str, tuple[str, ...]] = {}
    return asked._replace(inputs=msgspec.structs.replace(asked.inputs, approvals=bare))
