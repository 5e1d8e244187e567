"""Guards: what they look at, what they answer, and what is done about it.

Rules:

* A guard answers `pass`, `redact`, `block` or `escalate`. What it said and what was enforced are recorded apart.
* Of several answers the strictest counts: block, then escalate, then redact, then pass.
* A guard that is late, raises or answers nonsense has failed: `closed` blocks, `open` passes; both are recorded.
* In `shadow` nothing is enforced; the answer is recorded, and policies read its score.
* An edit names a passage and half-open offsets in it. What is no text (a number, a `true`) cannot be redacted: an edit
  of it blocks.

>>> redacted("call 0170 1234567 now", [Edit(passage=0, start=5, end=17, text="[phone]")])
'call [phone] now'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from flyball.core.policy import Answer, Cure, Layer

Stage = Literal["input", "context", "memory", "tool_args", "tool_output", "final_output"]
Act = Literal["pass", "redact", "block", "escalate"]
OnError = Literal["closed", "open"]
Mode = Literal["enforce", "shadow"]
GuardAdapter = Literal["pack", "lakera", "llama_guard", "presidio", "guardrails", "nemo"]
PLACES: Final[dict[str, None]] = dict.fromkeys(get_args(Stage))
GUARD_NAME: Final = re.compile("[a-z][a-z0-9_]{0,31}")
ACTS: Final[frozenset[str]] = frozenset(get_args(Act))
NOTHING_SAID: Final[Mapping[str, Signal]] = {}
STRICTNESS: Final[Mapping[str, int]] = {"pass": 0, "redact": 1, "escalate": 2, "block": 3}
GUARD_BLOCKED: Final = "guard_blocked"
FAILED: Final = "failed"
LAYER: Final[Layer] = "project"
MOST_SCORE: Final = 1_000
MOST_EDITS: Final = 10_000
MOST_GUARDS: Final = 16
MOST_REASON: Final = 64
# Shorter numbers are amounts and counts; a card, an account or a telephone number has at least this many digits.
NUMBER_DIGITS: Final = 9


class GuardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One `[guards.NAME]` of the configuration.

    `stages` are where it looks, `tools` the only tools whose arguments and results it looks at (none named: all).
    `on_error` is what its failure comes to; `group` decides what it escalates; `settings` are the adapter's own; `key`
    names where a key for it is (`env:NAME`, `file:PATH`), never the key. The timeout is in milliseconds.
    """

    name: str
    adapter: str = "pack"
    stages: tuple[Stage, ...] = ()
    tools: tuple[str, ...] = ()
    on_error: OnError = "closed"
    mode: Mode = "enforce"
    timeout_ms: int = 2_000
    group: str = "owner"
    key: str = ""
    url: str = ""
    settings: Mapping[str, Any] = {}


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard is shown: passages of text in order, and where they stand."""

    stage: Stage
    passages: tuple[str, ...]
    tenant: str = ""
    run: str = ""
    step: str = ""
    action: str = ""
    release: str = ""


class Edit(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Replaces `[start, end)` of one passage, in characters, by `text`."""

    passage: int
    start: int
    end: int
    text: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard says. `score` in thousandths, 0 to 1000; `reason` one word for programs, without content."""

    action: Act = "pass"
    score: int = 0
    reason: str = ""
    edits: tuple[Edit, ...] = ()


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What policies read of a guard: `context.guard.NAME`. `verdict` is `none` where it did not look."""

    score: int = 0
    verdict: str = "none"


class Looked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One guard's look as it is recorded: what it said and, apart, what was enforced. `failed`: why it said nothing."""

    guard: str
    version: str
    stage: Stage
    verdict: str
    enforced: Act
    score: int = 0
    reason: str = ""
    edits: int = 0
    failed: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """As facts of a record."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


class Screened(msgspec.Struct, frozen=True, kw_only=True):
    """What guards said of a proposal. `escalated`: guard -> the group that decides; `before`: what policies read of the
    guards when this step was first asked about, while the text was still as it was proposed."""

    looked: tuple[Looked, ...] = ()
    escalated: Mapping[str, str] = {}
    before: Mapping[str, Signal] = {}
    refused: tuple[str, ...] = ()

    @property
    def blocked(self) -> Looked | None:
        """The first guard that blocked it."""
        return next((one for one in self.looked if one.enforced == "block"), None)

    @property
    def signals(self) -> Mapping[str, Signal]:
        """What policies read: the greatest score and the strictest word of each guard."""
        found = dict(self.before)
        for one in self.looked:
            found[one.guard] = _joined(found.get(one.guard), Signal(score=one.score, verdict=one.verdict))
        return dict(sorted(found.items()))


def _joined(old: Signal | None, new: Signal) -> Signal:
    if old is None:
        return new
    words = sorted((old.verdict, new.verdict), key=lambda word: STRICTNESS.get(word, len(STRICTNESS)))
    return Signal(score=max(old.score, new.score), verdict=words[-1])


# answers --------------------------------------------------------------------------------------------------------------
def nonsense(verdict: Any, passages: Sequence[str]) -> str:
    """Why an answer is none; empty where it is one. Never raises for what a guard made."""
    if not isinstance(verdict, Verdict):
        return f"it answered {type(verdict).__name__}"
    if verdict.action not in ACTS:
        return "its action is none"
    if type(verdict.score) is not int or not 0 <= verdict.score <= MOST_SCORE:
        return "its score is not from 0 to 1000"
    if type(verdict.reason) is not str or len(verdict.reason) > MOST_REASON or not verdict.reason.isascii():
        return "its reason is no word"
    if type(verdict.edits) is not tuple or len(verdict.edits) > MOST_EDITS:
        return "its edits are too many"
    if verdict.action == "redact" and not verdict.edits:
        return "it redacts nothing"
    return next((fault for edit in verdict.edits if (fault := _misplaced(edit, passages))), "")


def _misplaced(edit: Any, passages: Sequence[str]) -> str:
    if not isinstance(edit, Edit):
        return "an edit is none"
    whole = all(type(n) is int for n in (edit.passage, edit.start, edit.end)) and type(edit.text) is str
    if not whole or not 0 <= edit.passage < len(passages):
        return "an edit is of no passage"
    fits = 0 <= edit.start < edit.end <= len(passages[edit.passage])
    return "" if fits else "an edit lies outside its passage"


def enforced(action: Act, mode: Mode) -> Act:
    """What is done about an answer."""
    return "pass" if mode == "shadow" else action


# edits ----------------------------------------------------------------------------------------------------------------
def merged(edits: Iterable[Edit]) -> list[Edit]:
    """Edits of one passage in order, those that overlap as one: what the first of them writes stands for all."""
    found: list[Edit] = []
    for edit in sorted(edits, key=lambda e: (e.start, e.start - e.end)):
        last = found[-1] if found else None
        if last is None or edit.start >= last.end:
            found.append(edit)
        elif edit.end > last.end:
            text = last.text or edit.text
            found[-1] = Edit(passage=last.passage, start=last.start, end=edit.end, text=text)
        elif not last.text and edit.text:
            found[-1] = msgspec.structs.replace(last, text=edit.text)
    return found


def redacted(text: str, edits: Iterable[Edit]) -> str:
    """The text with its edits made."""
    parts: list[str] = []
    at = 0
    for edit in merged(edits):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


# plain data -----------------------------------------------------------------------------------------------------------
class Unredactable(Exception):
    """An edit of what is no text, or one that would make two keys the same."""


def passages(data: Any, *, names: bool = True) -> list[str]:
    """Every text of plain data, keys and long numbers among them, in a fixed order; without `names` of the outermost
    object, which are the program's own."""
    return [text for _, text in _texts(data, names)]


def _texts(data: Any, names: bool) -> Iterator[tuple[str, str]]:
    if isinstance(data, str):
        if data:
            yield "text", data
    elif isinstance(data, Mapping):
        for key, value in data.items():
            if names and key:
                yield "key", str(key)
            yield from _texts(value, True)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _texts(value, True)
    elif type(data) in (int, float) and (shown := _digits(data)):
        yield "number", shown


def _digits(number: float) -> str:
    shown = str(number)
    return shown if sum(c.isdigit() for c in shown) >= NUMBER_DIGITS else ""


def rewritten(data: Any, edits: Iterable[Edit], *, names: bool = True) -> Any:
    """The same data with these edits of its `passages` made; raises Unredactable."""
    by_passage: dict[int, list[Edit]] = {}
    for edit in edits:
        by_passage.setdefault(edit.passage, []).append(edit)
    return _Rewriting(by_passage).of(data, names) if by_passage else data


class _Rewriting:
    # Walks as `_texts` does, and counts.
    def __init__(self, edits: Mapping[int, list[Edit]]) -> None:
        self._edits, self._at = edits, -1

    def of(self, data: Any, names: bool) -> Any:
        if isinstance(data, str):
            return self._text(data) if data else data
        if isinstance(data, Mapping):
            return self._object(data, names)
        if isinstance(data, (list, tuple)):
            return [self.of(value, True) for value in data]
        if type(data) in (int, float) and _digits(data):
            self._at += 1
            if self._at in self._edits:
                raise Unredactable("a number")
        return data

    def _text(self, text: str) -> str:
        self._at += 1
        edits = self._edits.get(self._at)
        return redacted(text, edits) if edits else text

    def _object(self, data: Mapping[Any, Any], names: bool) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in data.items():
            shown = self._text(str(key)) if names and key else key
            found[key if shown == str(key) else shown] = self.of(value, True)
        if len(found) < len(data):
            raise Unredactable("two keys")
        return found


# the gate -------------------------------------------------------------------------------------------------------------
def guard_cures(escalated: Mapping[str, str]) -> dict[str, Cure]:
    """What lifts an escalation: the approval of the guard's group, as of a forbid of the project's own layer."""
    return {f"{LAYER}/{_id(name)}": _cure(name, group) for name, group in escalated.items()}


def guard_answers(
    escalated: Mapping[str, str], given: Mapping[Layer, frozenset[str]], plain: bool
) -> tuple[Answer, ...]:
    """What escalations say beside the policies: no, until their group has agreed. Nothing of it is a plain forbid."""
    held = given.get(LAYER, frozenset())
    return tuple(
        Answer(allow=True) if plain or _cure(name, group).approval in held else
        Answer(allow=False, determining=(f"{LAYER}/{_id(name)}",))
        for name, group in escalated.items()
    )  # fmt: skip


def _id(name: str) -> str:
    return f"guard:{name}"


def _cure(name: str, group: str) -> Cure:
    team, _, count = group.rpartition(":")
    several = team and count in set("23456789")
    return Cure(
        policy=_id(name), layer=LAYER, group=team if several else group, people=int(count) if several else 1,
        reason=f"guard_{name}",
    )  # fmt: skip
