"""Snapshot: what a run that goes on with a fresh history still knows, so that no earlier generation is read again.

Of the values whose origin was known only those stay known that the run hands on: nothing else of them can reach it.
The principal's request stays in the run's first record and needs no copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from flyball.core.origin import REQUEST, forms
from flyball.core.record import Opened
from flyball.ports.journal import View
from flyball.ports.recording import Recording

ALL = 1_000_000


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the generations before came to: tools that did something, denials by step, digests of what people said no
    to, whether something untrusted was read, and the origins of the values handed on."""

    did: tuple[str, ...] = ()
    denied: Mapping[str, str] = {}
    rejected: tuple[str, ...] = ()
    tainted: bool = False
    known: Mapping[str, str] = {}


def handed_on(known: Mapping[str, str], input: Any) -> dict[str, str]:
    """The origins of what stands in the input of the next generation, without the request's own."""
    return {form: origin for form in sorted(forms(input)) if (origin := known.get(form, REQUEST)) != REQUEST}


def taken(continued: Opened | None) -> Snapshot:
    """The snapshot that a `run_continued` record holds; an empty one where there is none or its subject was erased."""
    held = (continued.private or {}).get("snapshot", {}) if continued is not None else {}
    return msgspec.convert(held, Snapshot)


def generation_records(record: Recording, tenant: str, view: View, run: str, since: int) -> list[Opened]:
    """The first record of a run and those after `since`, opened."""
    first = view.records(run=run, limit=1)
    rest = view.records(run=run, after=max(since, first[0].index), limit=ALL) if first else []
    return [record.open(tenant, stored, view) for stored in (*first, *rest)]
