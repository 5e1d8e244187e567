"""Memory: what an agent may remember and recall. It helps a model reason and never says what is true: that is state.

Rules:

* A memory belongs to a *scope*, bound to who runs: the `user` (no other principal's), the `session` (of one principal),
  the `agent` (all who use it), the `tenant`. It expires; what has expired is never told.
* It carries where it came from (`source`, `origin`), how sensitive it is, and since when it is known.
* It is vouched for (`trusted`) only where its run had read nothing untrusted and its text came from a trusted field,
  or, in the `user` and `session` scopes, from the principal's own request. What a model wrote is not.
* Remembering and recalling are actions (`Action::"remember"`, `Action::"recall"`) on the resource `Memory::"SCOPE"`.
* The log is the truth. What is indexed is derived from it and may be thrown away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

import msgspec

from flyball.core.canonical import encode
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.relevance import words
from flyball.core.signature import Signature, schema_for
from flyball.core.source import SENSITIVITIES

Scope = Literal["user", "session", "agent", "tenant"]
Sensitivity = Literal["public", "internal", "confidential", "restricted"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
OWN: Final[frozenset[str]] = frozenset({"user", "session"})
"""The scopes that nobody but one principal reads."""
MAX_ABOUT: Final = 200
MAX_QUERY: Final = 8_000
MOST: Final = 50
LONGEST: Final = timedelta(days=1_000)
FACT: Final = "memory"
"""The fact of an outcome that wrote a memory, by its id; and the epoch that each of them moves."""
# What of a recorded answer is vouched for. What a memory is about is whoever wrote it's word: it is of no known origin.
TRUSTED: Final = frozenset({"/trusted", "~/trusted/*/about"})


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """A memory as it is told. `score`: how well it answers the query, 0 to 1 (see `core.relevance`); `conflict`:
    another one that is told beside it is about the same and says something else."""

    id: str
    text: str
    about: str
    scope: Scope
    source: str
    origin: str
    sensitivity: Sensitivity
    created: datetime
    expires: datetime
    score: float = 0.0
    trusted: bool = False
    conflict: bool = False


class Remembered(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="remembered"):
    """It is remembered. `merged`: it was known already, and is known for longer now; `contradicts`: what is about the
    same and says something else."""

    id: str
    expires: datetime
    merged: bool = False
    contradicts: tuple[str, ...] = ()


class Skipped(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="skipped"):
    """It was not worth remembering, or may not be: `reason` for programs (see `core.useful`), `detail` for people."""

    reason: str
    detail: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A memory as the log holds it, in the payload of the outcome that wrote it. `owner` and `by` are pseudonyms: whose
    it is, who wrote it; `subjects`: whose data it is."""

    id: str
    text: str
    about: str
    scope: Scope
    owner: str
    by: str
    source: str
    origin: str
    trusted: bool
    sensitivity: Sensitivity
    created: datetime
    expires: datetime
    subjects: tuple[str, ...] = ()


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What `remember` came to, as it is recorded: what is kept, or why nothing is."""

    kept: Kept | None = None
    merged: bool = False
    contradicts: tuple[str, ...] = ()
    skipped: Skipped | None = None

    @property
    def told(self) -> Remembered | Skipped:
        """As whoever remembered is told."""
        if self.kept is None:
            return self.skipped or Skipped(reason="erased")
        return Remembered(
            id=self.kept.id, expires=self.kept.expires, merged=self.merged, contradicts=self.contradicts
        )  # fmt: skip


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """What `recall` came to, as it is recorded: what is vouched for apart from what is not."""

    trusted: tuple[Memory, ...] = ()
    untrusted: tuple[Memory, ...] = ()

    @property
    def memories(self) -> list[Memory]:
        """All of them, the best first."""
        return ordered([*self.trusted, *self.untrusted])


class Recall(msgspec.Struct, frozen=True):
    """What an agent recalls when it starts: at most `top_k` memories of these scopes that score `min_score` or more for
    its input, in at most `tokens` of its context."""

    top_k: int = 4
    min_score: float = 0.7
    scopes: tuple[Scope, ...] = ("user",)
    tokens: int = 1_000

    def __post_init__(self) -> None:
        check_recall(self.top_k, self.min_score, self.scopes)
        if type(self.tokens) is not int or self.tokens < 1:
            raise _bad(f"tokens={self.tokens!r}", "memories need room in the context", "tokens=1_000")


class Remembering(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of `Action::"remember"`, all of which policy sees."""

    text: str
    about: str
    scope: Scope
    sensitivity: Sensitivity
    seconds: int


class Recalling(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of `Action::"recall"`. `least` is the least score, in thousandths."""

    query: str
    scope: Scope
    top_k: int
    least: int


def ordered(memories: Sequence[Memory]) -> list[Memory]:
    """The best first; of equal ones the younger."""
    return sorted(memories, key=lambda m: (-m.score, -m.created.timestamp(), m.id))


def flagged(memories: Sequence[Memory]) -> list[Memory]:
    """Memories with those marked that say something else than another one of them about the same."""
    said: dict[tuple[str, tuple[str, ...]], set[tuple[str, ...]]] = {}
    for m in memories:
        said.setdefault((m.scope, words(m.about)), set()).add(words(m.text))
    return [msgspec.structs.replace(m, conflict=len(said[m.scope, words(m.about)]) > 1) for m in memories]


def told(kept: Kept, score: float = 0.0) -> Memory:
    """What is kept, as it is told."""
    return Memory(
        id=kept.id, text=kept.text, about=kept.about, scope=kept.scope, source=kept.source, origin=kept.origin,
        sensitivity=kept.sensitivity, created=kept.created, expires=kept.expires, score=score, trusted=kept.trusted,
    )  # fmt: skip


# what may be asked ----------------------------------------------------------------------------------------------------
def check_recall(top_k: object, min_score: object, scopes: Sequence[str]) -> None:
    """Refuses what cannot be recalled by; raises FlyballError `bad_memory`."""
    if type(top_k) is not int or not 1 <= top_k <= MOST:
        raise _bad(f"top_k={top_k!r}", f"it is a whole number from 1 to {MOST}", "top_k=4")
    if type(min_score) not in (int, float) or not 0 <= min_score <= 1:  # type: ignore[operator]
        raise _bad(f"min_score={min_score!r}", "a score is from 0 to 1", "min_score=0.7")
    unknown = [s for s in scopes if s not in SCOPES]
    if unknown or not scopes or isinstance(scopes, str):
        raise _bad(f"scopes={scopes!r}", "it is not known whose memories those are", f"some of {', '.join(SCOPES)}")


def remembering(text: str, about: str, ttl: timedelta, sensitivity: str, scope: str) -> Remembering:
    """The arguments of a memory; raises FlyballError `bad_memory` for what no memory can have."""
    if scope not in SCOPES:
        raise _bad(f"scope={scope!r}", "it is not known whose memory that is", f"one of {', '.join(SCOPES)}")
    if sensitivity not in SENSITIVITIES:
        fix = f"one of {', '.join(SENSITIVITIES)}"
        raise _bad(f"sensitivity={sensitivity!r}", "it is not known how sensitive that is", fix)
    if not timedelta(seconds=1) <= ttl <= LONGEST:
        raise _bad(f"ttl={ttl!r}", f"a memory lives from a second to {LONGEST.days} days", "ttl=timedelta(days=90)")
    if not words(about) or len(about) > MAX_ABOUT:
        raise _bad(f"about={about[:40]!r}", f"it names, in at most {MAX_ABOUT} characters, what this is about",
                   'about="preferred language"')  # fmt: skip
    seconds = ttl // timedelta(seconds=1)
    return msgspec.convert(
        {"text": text, "about": about, "scope": scope, "sensitivity": sensitivity, "seconds": seconds}, Remembering
    )


def _bad(what: str, why: str, fix: str) -> FlyballError:
    return FlyballError("bad_memory", what, why, fix)


# the actions ----------------------------------------------------------------------------------------------------------
def _signature(arguments: type[msgspec.Struct], returns: Any, trusted: frozenset[str]) -> Signature:
    names, schema = arguments.__struct_fields__, schema_for(arguments)
    digest = hashlib.sha256(encode(dict(schema))).hexdigest()
    return Signature(
        names=names, arguments=arguments, returns=returns, input_schema=schema, output_schema={}, critical=frozenset(),
        outgoing=frozenset(), refs={}, trusted=trusted, personal=frozenset(), digest=digest,
    )  # fmt: skip


# What `remember` came to is nobody's text: what it kept is what it was given.
REMEMBER_SIGNATURE: Final = _signature(Remembering, Written, frozenset({""}))
RECALL_SIGNATURE: Final = _signature(Recalling, Recalled, TRUSTED)
# Made again under its key where a crash came between: nothing but the outcome that says what is kept is written.
REMEMBER: Final = Action(
    name="remember", kind="remember", effect="reversible", egress=False, idempotency="key",
    input_schema=REMEMBER_SIGNATURE.input_schema, schema_digest=REMEMBER_SIGNATURE.digest,
)  # fmt: skip
RECALL: Final = Action(
    name="recall", kind="recall", effect="read", egress=False,
    input_schema=RECALL_SIGNATURE.input_schema, schema_digest=RECALL_SIGNATURE.digest,
)  # fmt: skip
FORGET: Final = Action(name="forget", kind="forget", effect="irreversible", egress=False)
LEAVING: Final[Mapping[str, Action]] = {
    action.name: msgspec.structs.replace(action, egress=True) for action in (REMEMBER, RECALL)
}
"""The same where texts are sent to an embedding model: what leaves the house is egress."""
