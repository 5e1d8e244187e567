"""The deterministic pack behind `ports.guard`: the same text, the same answer, without a network or a model.

[guards.private]
stages = ["tool_args", "tool_output", "context", "final_output"]
settings = { find = ["email", "card", "iban", "phone"], action = "redact" }
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from flyball.adapters.guard_pack.find import DETECTORS, Detector, Found, hidden
from flyball.adapters.guard_pack.normal import plain_form
from flyball.adapters.guard_pack.patterns import own
from flyball.core.errors import FlyballError
from flyball.core.guard import MOST_EDITS, MOST_SCORE, Act, Edit, GuardConfig, Subject, Verdict, merged

VERSION: Final = 1
KINDS: Final = (*DETECTORS, "hidden")
# Texts that come again and again: names of arguments, short words.
SHORT, REMEMBERED = 64, 2_048
_WORD: Final = re.compile("[a-z][a-z0-9_]{0,31}")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`find` which kinds; `action` what a finding comes to; `least` the score (thousandths) from which one counts;
    `canaries` words that must never leave; `patterns` of one's own by name, for RE2."""

    find: tuple[str, ...] = KINDS
    action: Act = "redact"
    least: int = 0
    canaries: tuple[str, ...] = ()
    patterns: Mapping[str, str] = {}


class Pack:
    """Implements `ports.guard.Guard`."""

    local = True

    def __init__(self, settings: Settings = Settings()) -> None:
        _refuse(settings)
        self._settings = settings
        known: dict[str, Detector] = {**DETECTORS, **own(settings.patterns)}
        names = [*(n for n in settings.find if n != "hidden"), *settings.patterns]
        self._detectors = tuple(known[name] for name in names)
        self._hidden = "hidden" in settings.find
        self._canaries = tuple(plain_form(word).text.casefold() for word in settings.canaries)
        said = msgspec.json.encode(settings, order="sorted")
        self.version = f"pack@{VERSION}:{hashlib.sha256(said).hexdigest()[:12]}"
        self._short = lru_cache(maxsize=REMEMBERED)(self._look)

    async def check(self, subject: Subject) -> Verdict:
        """What it finds in the passages, as one answer."""
        found = [(n, each) for n, text in enumerate(subject.passages) for each in self.find(text)]
        if not found:
            return Verdict()
        worst = max((each for _, each in found), key=lambda each: each.score)
        if worst.score < self._settings.least:
            return Verdict(score=worst.score, reason=worst.reason)
        counted = [(n, each) for n, each in found if each.score >= self._settings.least]
        edits = tuple(self._edit(n, each) for n, each in counted[:MOST_EDITS])
        action: Act = self._settings.action if len(counted) <= MOST_EDITS else "block"
        return Verdict(action=action, score=worst.score, reason=worst.reason, edits=edits)

    def find(self, text: str) -> tuple[Found, ...]:
        """What it finds in one text, with offsets in the text as it is."""
        return self._short(text) if len(text) <= SHORT else self._look(text)

    def edits(self, text: str) -> list[Edit]:
        """What it would write over in one text: for `core.window.Window`."""
        return merged(self._edit(0, each) for each in self.find(text) if each.score >= self._settings.least)

    async def close(self) -> None:
        """Holds nothing."""

    @staticmethod
    def _edit(passage: int, each: Found) -> Edit:
        # What nobody sees is taken away; what somebody might miss leaves its kind.
        text = "" if each.kind == "hidden" else f"[{each.kind}]"
        return Edit(passage=passage, start=each.start, end=each.end, text=text)

    def _look(self, text: str) -> tuple[Found, ...]:
        plain = plain_form(text)
        found = [
            Found(*plain.back(each.start, each.end), each.kind, each.reason, each.score)
            for detector in self._detectors for each in detector(plain.text)
        ]  # fmt: skip
        if self._canaries:
            found += [Found(*plain.back(*at), "canary", "canary", MOST_SCORE) for at in self._words(plain.text)]
        return tuple(found + list(hidden(text)) if self._hidden else found)

    def _words(self, text: str) -> Iterator[tuple[int, int]]:
        folded = "".join(c if len(c.casefold()) != 1 else c.casefold() for c in text)
        for word in self._canaries:
            at = folded.find(word)
            while at >= 0:
                yield at, at + len(word)
                at = folded.find(word, at + len(word))


def _refuse(settings: Settings) -> None:
    unknown = [name for name in settings.find if name not in KINDS]
    if unknown:
        raise _bad(f"find: there is no {unknown[0]!r}", f"It finds {', '.join(KINDS)}.")
    if not 0 <= settings.least <= MOST_SCORE:
        raise _bad("least: a score is from 0 to 1000", "Write least = 700.")
    if any(len(plain_form(word).text) < 8 for word in settings.canaries):
        raise _bad("canaries: a word of less than 8 characters stands everywhere", "Make it longer.")
    if any(not _WORD.fullmatch(name) or name in KINDS for name in settings.patterns):
        raise _bad("patterns: a name is a word of small letters that is no kind", 'Write { ticket = "TCK-[0-9]{6}" }.')


def _bad(what: str, fix: str) -> FlyballError:
    return FlyballError("config_value", f"a guard's settings: {what}", fix=fix)


def open_pack(config: GuardConfig, _: object = None) -> Pack:
    """The pack of one `[guards.NAME]`; raises FlyballError `config_value`, `guard_pattern` or `guard_extra`."""
    try:
        made = msgspec.convert(config.settings, Settings)
    except msgspec.ValidationError as bad:
        raise FlyballError("config_value", f"[guards.{config.name}.settings]", str(bad)) from None
    return Pack(made)
