"""Snapshot: what a run that goes on with a fresh history still knows, so that no earlier generation is read again.

Of the values whose origin was known only those stay known that the run hands on: nothing else of them can reach it.
The principal's request stays in the run's first record and needs no copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from flyball.core.effect import LASTING
from flyball.core.journal import RunRow, Stored
from flyball.core.origin import REQUEST, forms
from flyball.core.record import Opened, unopened
from flyball.ports.journal import View
from flyball.ports.recording import Recording

ALL = 1_000_000
# What a person was asked or said is read wherever it stands.
_READ: Final = frozenset({"asked", "resolution", "late"})
Trusted = Callable[[str], frozenset[str] | None]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the generations before came to: tools that did something, denials by step, digests of what people said no
    to, whether something untrusted was read and how sensitive it was, the origins of the values handed on, the latest
    value of each signal."""

    did: tuple[str, ...] = ()
    denied: Mapping[str, str] = {}
    rejected: tuple[str, ...] = ()
    tainted: bool = False
    known: Mapping[str, str] = {}
    signals: Mapping[str, int] = {}
    sensitivity: str = "public"


def handed_on(known: Mapping[str, str], input: Any) -> dict[str, str]:
    """The origins of what stands in the input of the next generation, without the request's own."""
    return {form: origin for form in sorted(forms(input)) if (origin := known.get(form, REQUEST)) != REQUEST}


def taken(continued: Opened | None) -> Snapshot:
    """The snapshot that a `run_continued` record holds; an empty one where there is none or its subject was erased."""
    held = (continued.private or {}).get("snapshot", {}) if continued is not None else {}
    return msgspec.convert(held, Snapshot)


def generation_records(
    record: Recording, tenant: str, view: View, row: RunRow, trusted: Trusted | None = None
) -> list[Opened]:
    """The first record of a run and those of its present generation, opened.

    With `trusted` a finished agent or flow is folded: of what lies inside only that is opened which decisions read.
    """
    records = view.records(run=row.id, limit=ALL if row.since < 0 else 1)
    if records and row.since >= 0:
        records += view.records(run=row.id, after=max(row.since, records[0].index), limit=ALL)
    folded = _Folded(records, trusted) if trusted is not None else None
    return [(folded.leaf(s) if folded else None) or record.open(tenant, s, view) for s in records]


class _Folded:
    """What lies inside a finished agent or flow: nobody asks for those steps again, and most need not be opened.

    What was asked of people is opened, and what gave values that are vouched for. Of everything else the leaf says
    enough: which tools did something, what was denied, whether it tainted the run.
    """

    def __init__(self, records: Sequence[Stored], trusted: Trusted) -> None:
        self._trusted = trusted
        self._ends = {s.path: s.index for s in records if s.kind == "outcome"}
        self._begun = {s.path: s for s in records if s.kind == "intent"}
        self._within: dict[str, int] = {"": -1}
        self._vouched: set[str] = set()

    def leaf(self, s: Stored) -> Opened | None:
        """The record by its leaf alone; None where it must be opened. Asked in the order of the log."""
        branch = s.path.rpartition(".")[0]
        if not branch or s.kind in _READ or self._end(branch) < s.index or s.path in self._vouched:
            return None
        known = unopened(s)
        if s.kind == "intent" and self._trusted(str(known.facts["action"])):
            self._vouched.add(s.path)
        return known

    def _end(self, branch: str) -> int:
        """The index at which the last of what this branch lies in has ended; below every record's where none has."""
        if branch not in self._within:
            around = self._end(branch.rpartition(".")[0])
            self._within[branch] = max(self._ends.get(branch, -1) if self._lasting(branch) else -1, around)
        return self._within[branch]

    def _lasting(self, path: str) -> bool:
        # What stands beneath a tool's step is asked for as long as that is: it belongs to its next attempt, too.
        begun = self._begun.get(path)
        return begun is not None and unopened(begun).facts["action_kind"] in LASTING
