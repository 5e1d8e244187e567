"""Access: which runs read what from which sources, about whom and what for; told from the log. What was recalled is a
read of the source `memory`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from flyball.app.wiring import Rooms
from flyball.core.record import Opened
from flyball.core.steps import bare
from flyball.ports.journal import View

PORTION = 1_000


def accesses(rooms: Rooms, tenant: str, subject: str = "", source: str = "") -> list[dict[str, Any]]:
    """Every read of a source by runs about this subject (any where it is empty) from this source (any likewise), in the
    order of the log. Of an erased subject nobody can say any more that it was theirs: those are left out where one is
    asked for, and told without what was read where none is."""
    view = rooms.ports.journal.view(tenant)
    runs: dict[str, Opened] = {}
    found = []
    for run, path in _reads(rooms, tenant, source):
        if run not in runs:
            runs[run] = rooms.record.open(tenant, view.records(run=run, limit=1)[0], view)
        started = runs[run].private or {}
        if not subject or subject == started.get("subject"):
            found.append(_told(rooms, tenant, view, runs[run], path))
    return found


def _reads(rooms: Rooms, tenant: str, source: str) -> Iterator[tuple[str, str]]:
    """Run and path of every source that was asked or denied."""
    after, seen = -1, set[tuple[str, str]]()
    while portion := rooms.ports.journal.view(tenant).records(after=after, limit=PORTION):
        after = portion[-1].index
        for stored in portion:
            if stored.kind not in ("intent", "decision"):
                continue
            facts = msgspec.json.decode(stored.leaf)["facts"]
            place = (stored.run, bare(stored.path))
            if (named := _source(facts)) and source in ("", named) and place not in seen:
                seen.add(place)
                yield place


def _source(facts: Mapping[str, Any]) -> str:
    """The source that an action reads; empty where it reads none."""
    named = {"context": str(facts["action"]), "recall": "memory"}
    return named.get(str(facts.get("action_kind")), "")


def _told(rooms: Rooms, tenant: str, view: View, started: Opened, path: str) -> dict[str, Any]:
    steps = [s for s in view.records(run=started.run, limit=1_000_000) if bare(s.path) == path]
    opened = [rooms.record.open(tenant, s, view) for s in steps]
    asked = next(r for r in opened if r.kind in ("intent", "decision"))
    outcome = next((r for r in reversed(opened) if r.kind == "outcome"), None)
    private = started.private or {}
    return {
        "run": started.run, "path": path, "time": asked.time, "source": _source(asked.facts),
        "subject": private.get("subject", ""), "by": (private.get("principal") or {}).get("id", ""),
        "purpose": started.facts["what"], "through": list(asked.facts["chain"]),
        "outcome": outcome.facts["status"] if outcome is not None else asked.facts["outcome"],
        "erased": started.private is None, "passages": _passages(outcome),
    }  # fmt: skip


def _passages(outcome: Opened | None) -> list[Mapping[str, Any]]:
    """What was read, by place: never the text itself, which whoever may read it finds with `flyball show`."""
    read = (outcome.private or {}).get("result") if outcome is not None else None
    if not isinstance(read, Mapping):
        return []
    both: Sequence[Mapping[str, Any]] = [*read.get("trusted", ()), *read.get("untrusted", ())]
    if any("place" not in p for p in both):  # memories, each by its id
        return [{"ref": p["id"], "as_of": None} for p in both]
    return [{"ref": p["ref"], "as_of": p.get("as_of")} for p in sorted(both, key=lambda p: p["place"])]
