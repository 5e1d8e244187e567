"""What an offline verification found: one check per promise, each with its verdict in words.

Rules:

* Bad content is a finding, never an exception. A report is ok when every check is.
* Text from the log is hostile: it is shown escaped and cut short.
* A check keeps its first `SHOWN` findings and counts the rest: a wholly forged export does not flood its reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SHOWN: Final = 20
_LONG: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise: its name, whether it holds, what was looked at or found, and the findings one by one."""

    name: str
    ok: bool
    detail: str
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was verified: every check, and what a reader must know besides.

    `open_intents` are the ids of intents without an outcome; `disclosed` counts values that match their commitments;
    `boundaries` are places where the log says that it does not tell everything (a new epoch, a gap, an erasure) and
    what the verification itself could not decide; `size` counts records, `key` names the verifier key used.
    """

    checks: tuple[Check, ...]
    origin: str = ""
    size: int = 0
    key: str = ""
    open_intents: tuple[str, ...] = ()
    disclosed: int = 0
    boundaries: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Does every check hold?"""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def summary(self) -> str:
        """The report in a few lines of plain text."""
        verdict = "verified" if self.ok else "NOT verified"
        lines = [f"{verdict}: {self.size} records of {named(self.origin)}, key {named(self.key)}"]
        for check in self.checks:
            lines.append(f"  {'ok ' if check.ok else 'BAD'} {check.name}: {check.detail}")
            lines.extend(f"      {finding}" for finding in check.findings)
        lines.extend(f"  open: {named(intent)} has no outcome" for intent in self.open_intents[:SHOWN])
        if len(self.open_intents) > SHOWN:
            lines.append(f"  open: {len(self.open_intents) - SHOWN} more")
        lines.extend(f"  note: {boundary}" for boundary in self.boundaries)
        return "\n".join(lines)


class Findings:
    """Collects what is wrong under one promise."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0
        self._first: list[str] = []

    def add(self, what: str) -> None:
        """Keeps a finding, or only counts it when there are many."""
        self.count += 1
        if self.count <= SHOWN:
            self._first.append(what)

    def check(self, good: str) -> Check:
        """The check: ``good`` says what holds where nothing was found."""
        if not self.count:
            return Check(name=self.name, ok=True, detail=good)
        more = "" if self.count <= SHOWN else f", the first {SHOWN} are shown"
        detail = f"{self.count} finding{'s' if self.count > 1 else ''}{more}"
        return Check(name=self.name, ok=False, detail=detail, findings=tuple(self._first))


def named(text: object) -> str:
    """Text from the log for a person's eyes: printable, one line, at most 120 characters."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text)[: _LONG + 1])
    return shown if len(shown) <= _LONG else shown[: _LONG - 1] + "…"


def counted(count: int, one: str, many: str = "") -> str:
    """``1 record``, ``2 records``."""
    return f"{count} {one if count == 1 else many or one + 's'}"
