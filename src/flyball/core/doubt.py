"""Doubt: what evidence means that comes after an outcome, and what a person is asked where nobody else can say.

Rules (JOURNAL section 1):

* The first outcome of an attempt stands. `executed` after `unknown` is legal, and settles it.
* `executed` after `failed` or `not_started` is a contradiction: a person says what is true. The run was told already,
  and what it was told stands; it takes no new step until somebody has said, and what was released is held again.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec.structs import replace

from flyball.core.approval import over
from flyball.core.budget import UNLIMITED, ZERO, Amounts, dated, minus
from flyball.core.journal import PendingRow, Reserve
from flyball.core.proposal import Proposal
from flyball.core.record import Event, record_id
from flyball.core.signature import schema_for

Meaning = Literal["settles", "asks", "repeats"]
_OPEN: Final = frozenset({"unknown", "interrupted"})
_DENIED: Final = frozenset({"failed", "not_started"})
STANDS: Final = "stands"
"""The default of a question about what the run was told: unanswered, that stands, and the run's end is no answer."""


def meaning(first: str, then: str, *, effect: str) -> Meaning:
    """What an attempt's recorded outcome and a later finding come to, both by status; `effect` is the action's class.

    >>> meaning("unknown", "executed", effect="irreversible"), meaning("failed", "executed", effect="irreversible")
    ('settles', 'asks')
    >>> meaning("failed", "executed", effect="read"), meaning("unknown", "failed", effect="irreversible")
    ('repeats', 'repeats')
    """
    if then != "executed":
        return "repeats"  # that it was not seen to happen is nothing new, and never takes back what was
    if first in _OPEN:
        return "settles"
    return "asks" if first in _DENIED and effect != "read" else "repeats"


def outlives(row: PendingRow) -> bool:
    """Does this question stand although its run has ended?"""
    return row.default == STANDS


def question(p: Proposal, after: str = "") -> tuple[PendingRow, Event]:
    """What a person is asked about an attempt: the row that waits and its record. `after` is the status that the log
    gave it where evidence says otherwise; without it nobody knows anything."""
    place, name = p.place, p.action.name
    row_id = f"{place.run}/{place.path}?{p.attempt}"
    asks = f"Did {name} happen? Nobody here can tell."
    if after:
        asks = f"Did {name} happen? It was recorded as {after}, and came back later as executed."
    shown = {
        "about": name, "action": name, "by": p.authority.principal.id, "effect": p.action.effect, "question": asks,
    }  # fmt: skip
    covers = {"pending": row_id, **({"after": after} if after else {})}
    row = PendingRow(
        id=row_id, run=place.run, path=place.path, kind="unknown", state="open", groups=settlers(p), over=over(covers),
        record=record_id(place.run, f"{place.path}?", p.attempt, "asked"), default=STANDS if after else "deny",
        intent=record_id(place.run, place.path, p.attempt, "intent"),
    )  # fmt: skip
    event = Event(
        kind="asked", run=place.run, path=f"{place.path}?", attempt=p.attempt, subjects=place.subjects,
        facts={"pending": row_id, "kind": "unknown", "over": row.over, "covers": covers},
        private={"shown": shown, "args": p.arguments, "schema": schema_for(returned(p))},
    )  # fmt: skip
    return row, event


def held_again(p: Proposal, at: int, reserved: Amounts, charged: Amounts) -> Reserve | None:
    """What an attempt's settlement released, for as long as nobody knows; never refused, because it may be spent.

    `at` is when the attempt began, in microseconds: its day is the one that pays.
    """
    released = minus(reserved, charged)
    if released == ZERO:
        return None
    holds = tuple(replace(h, node=dated(h.node, at), amounts=released, limit=UNLIMITED) for h in p.place.holds)
    return Reserve(id=record_id(p.place.run, p.place.path, p.attempt, "intent"), holds=holds)


def settlers(p: Proposal) -> tuple[str, ...]:
    """Who may say what became of an outcome that nobody saw: an owner, or the person who asked for the run."""
    person = p.authority.principal
    return ("project/owner", *([f"project/{person.id}"] if person.kind == "user" else []))


def returned(p: Proposal) -> Any:
    """The type of what the action gives."""
    return p.performer.returns if p.performer.signature is None else p.performer.signature.returns
