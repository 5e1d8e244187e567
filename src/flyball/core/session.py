"""Sessions: runs of one principal that follow each other, and what of the earlier ones a later one may be told.

Rules:

* The runs that one principal starts in one tenant under one session name are its *turns*, numbered as they start. A
  turn begins when no earlier one is under way. Nobody else's run is a turn of it, whatever name they use.
* `history` is a source like any other: governed, limited in tokens, recorded. It tells ended turns, the latest first,
  one passage each, as JSON: what was asked and what was answered stay apart, whatever either says.
* A turn about another subject than this run's, and one that was erased, is not told; that it is missing is.
* What the principal asked for earlier is not this request. Its values are known as `history.earlier`, never as
  `request`. An answer is a model's words: no value in it is known by having been in an answer.
* A passage is trusted unless its turn was tainted, and as sensitive as the most sensitive thing its models were shown.

>>> passage(Turn(number=2, run="r-1", ended=7, asked="Is it paid?", answered="Yes.")).text
'{"answered":"Yes.","asked":"Is it paid?","turn":2}'
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import msgspec

from flyball.core.call import Call
from flyball.core.context import Excerpt, Read
from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.origin import values
from flyball.core.source import SENSITIVITIES, Source, check_source, highest

MAX_TURNS: Final = 100
ERASED: Final = "erased"
ANOTHER: Final = "about somebody else"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One ended turn as the log tells it. `ended` in microseconds since 1970; `why` it ended where not well; `absent`
    why it is not told; `sensitivity` of what its models were shown."""

    number: int
    run: str
    ended: int
    asked: Any = None
    answered: Any = None
    why: str = ""
    absent: str = ""
    tainted: bool = False
    sensitivity: str = "public"


class Remembered(Read, frozen=True, kw_only=True):
    """What a history answered. `earlier` are the values that the principal named in the turns that are told; `level`
    says how sensitive they are, as a place in `core.source.SENSITIVITIES`: text here would be text from the world."""

    earlier: tuple[Any, ...] = ()
    level: int = 0

    @property
    def sensitivity(self) -> str:
        """The label of all that is told."""
        return SENSITIVITIES[self.level]


class History(Source[Any]):
    """The earlier turns of the run's session as a part of an agent's context: what `history` makes."""

    def __init__(self, *, turns: int, tokens: int, max_age: timedelta | None, sensitivity: str) -> None:
        super().__init__(
            earlier, tokens=tokens, max_age=max_age, required=False, sensitivity=sensitivity, trusted=False, name=NAME
        )
        self.turns = turns


NAME: Final = "history"


def earlier(call: Call, input: Any) -> Any:
    """The earlier turns of this session, the latest first."""
    raise FlyballError(
        "no_history", "a history is read from the log of a run", fix="pass history() in agent(context=[...])"
    )


def history(
    *, turns: int = 10, tokens: int = 2_000, max_age: timedelta | None = None, sensitivity: str = "internal"
) -> Source[Any]:
    """The earlier turns of a run's session as a source, for `agent(context=[history()])`.

    `turns`: the most that are told, at most 100; `tokens`: what they may take of the context; `max_age`: since a turn
    ended; `sensitivity`: the least that it is taken for. Raises FlyballError `bad_source`.
    """
    if type(turns) is not int or not 1 <= turns <= MAX_TURNS:
        raise FlyballError("bad_source", f"turns={turns!r}", f"a history tells 1 to {MAX_TURNS} turns", "turns=10")
    check_source(tokens=tokens, max_age=max_age, sensitivity=sensitivity)
    return History(turns=turns, tokens=tokens, max_age=max_age, sensitivity=sensitivity)


def scope(by: Principal, name: str) -> str:
    """What a session is called within its tenant: a principal is its issuer's, and acts for one person at a time."""
    return "\0".join(("session", by.issuer, by.id, by.on_behalf_of or "", name))


def passage(turn: Turn) -> Excerpt:
    """A turn as it is told to a model. `place` is set by whoever puts it into a list."""
    told: dict[str, Any] = {"turn": turn.number}
    if turn.absent:
        told["absent"] = turn.absent
    else:
        told["asked"] = turn.asked
        told |= {"ended": turn.why} if turn.why else {"answered": turn.answered}
    return Excerpt(place=0, text=msgspec.json.encode(told, order="sorted").decode(), ref=turn.run, as_of=turn.ended)


def remembered(turns: Iterable[Turn], at: int) -> Remembered:
    """What a history answers at this time (microseconds): these turns, in this order."""
    told = tuple(turns)
    placed = [(t, msgspec.structs.replace(passage(t), place=n)) for n, t in enumerate(told)]
    known = [value for t in told if not t.absent for value in values(t.asked)]
    return Remembered(
        at=at, trusted=tuple(p for t, p in placed if not t.tainted),
        untrusted=tuple(p for t, p in placed if t.tainted),
        earlier=tuple(dict.fromkeys(known)), level=SENSITIVITIES.index(highest([t.sensitivity for t in told])),
    )  # fmt: skip
