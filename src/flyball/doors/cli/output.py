"""How commands speak: lines and tables for people, one JSON envelope per line for programs, errors on stderr.

Rules:

* A command says everything through its `Screen`, once: `result` takes the data and how to show it to a person.
* The envelope is `{"flyball": 1, "kind": ..., ...}`; within version 1 keys are only added. It is plain ASCII.
* Text from models, tools and files is shown by its characters: what would steer a terminal or hide is written out.
* rich is imported only when stdout is a terminal and `NO_COLOR` is not set.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

from flyball.core.errors import FlyballError
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.paper import Paper, PlainPaper, Tone

ENVELOPE: Final = 1

# Control, format (bidirectional, zero-width, tags), surrogates, private use, unassigned, line and paragraph separators.
_WRITTEN_OUT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What a command writes on: `paper` for people, or envelopes on `out` where `json` is set; errors on `err`."""

    json: bool
    out: TextIO
    err: TextIO
    paper: Paper

    def result(self, kind: str, data: Mapping[str, Any], show: Callable[[Screen], None]) -> None:
        """Says one thing: the envelope `kind` with `data`, or what `show` writes."""
        if self.json:
            self.envelope(kind, data)
        else:
            show(self)

    def envelope(self, kind: str, data: Mapping[str, Any]) -> None:
        """One JSON object on a line of its own, for results and for the events of a stream."""
        print(_envelope(kind, data), file=self.out, flush=True)

    def line(self, text: str = "", tone: Tone = "plain") -> None:
        """One line for people."""
        self.paper.line(visible(text), tone)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows for people; each cell is one line."""
        self.paper.table(headers, [[visible(str(cell)).replace("\n", "\\n") for cell in row] for row in rows])

    def facts(self, facts: Mapping[str, object]) -> None:
        """Names and values, one pair on each line."""
        width = max(map(len, facts), default=0)
        for name, value in facts.items():
            self.line(f"{name:<{width}}  {value}")

    def error(self, error: FlyballError, code: ExitCode) -> None:
        """What happened, why, and how to fix it."""
        if self.json:
            facts = {"code": error.code, "what": error.what, "why": error.why, "fix": error.fix}
            print(_envelope("error", {**facts, "data": error.data, "exit": int(code)}), file=self.err)
            return
        print(f"error: {visible(error.what)}", file=self.err)
        for label, text in (("why", error.why), ("fix", error.fix)):
            if text:
                print(f"  {label}: {visible(text)}", file=self.err)


def screen(*, as_json: bool, out: TextIO, err: TextIO, environ: Mapping[str, str]) -> Screen:
    """The screen for these streams: coloured on a terminal, plain elsewhere."""
    fancy = not as_json and out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Screen(json=as_json, out=out, err=err, paper=_rich(out) if fancy else PlainPaper(out))


def visible(text: str) -> str:
    """The text with every character that steers a terminal or is not seen written as its code point; newlines stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or not _hidden(c) else f"<U+{ord(c):04X}>" for c in text)


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _WRITTEN_OUT


def _envelope(kind: str, data: Mapping[str, Any]) -> str:
    return json.dumps({"flyball": ENVELOPE, "kind": kind, **data}, ensure_ascii=True, allow_nan=False, default=str)


def _rich(out: TextIO) -> Paper:
    from flyball.doors.cli.terminal import RichPaper  # rich costs more than the rest of a command's start

    return RichPaper(out)
