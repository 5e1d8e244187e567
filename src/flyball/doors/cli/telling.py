"""Plain words for what the records say: times, money, values that cannot mislead the eye, endings of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from flyball.core import attested
from flyball.core.budget import MICRO
from flyball.doors.cli.output import Screen
from flyball.runtime.approve.show import blocks, visible

BRIEF: Final = 140
LONG: Final = 400
WHOLE: Final = 1_000_000
INDENT: Final = "   "


def moment(microseconds: int) -> str:
    """A time as people read it, in UTC; a dash for none. Raises FlyballError `journal_corrupt` for what is no time."""
    if not microseconds:
        return "-"
    return attested.moment(microseconds).strftime("%Y-%m-%d %H:%M:%SZ")


def dollars(micro: int) -> str:
    """Micro-dollars as dollars, exactly."""
    whole, rest = divmod(micro, MICRO)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"${whole}.{digits}"


def amounts(used: Mapping[str, int]) -> str:
    """Amounts in words; "nothing" where there are none."""
    told = [_amount(name, value) for name, value in used.items() if value]
    return ", ".join(told) or "nothing"


def _amount(name: str, value: int) -> str:
    if name == "usd":
        return dollars(value)
    words = name.replace("_", " ")
    return f"{value / 1000:g} s" if name == "ms" else f"{value} {words if value != 1 else words.rstrip('s')}"


def short(value: Any, most: int = LONG) -> str:
    """A value as JSON on one line, cut where it is long."""
    return cut(visible(json.dumps(value, ensure_ascii=False, default=str)), most)


def cut(text: str, most: int) -> str:
    """A text, or its beginning with how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def leaves(arguments: Any, origins: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Pointer, visible value and origin of each leaf."""
    if not isinstance(arguments, Mapping):
        yield "", short(arguments), ""
        return
    for block in blocks(arguments, frozenset()):
        at = str(block["at"])
        yield at, f"{block['value']}{_warned(block['warnings'])}", origin_of(at, origins)


def origin_of(at: str, origins: Mapping[str, str]) -> str:
    """Where a leaf came from: its own origin, or that of the argument it is in."""
    bare = at.lstrip("/")
    return origins.get(at) or origins.get(bare) or origins.get(bare.split("/")[0], "")


def _warned(warnings: Sequence[str]) -> str:
    return f"  [{', '.join(warnings)}]" if warnings else ""


def block_lines(screen: Screen, asked: Mapping[str, Any]) -> None:
    """Every leaf that a person is asked about in a block of its own, with its origin and what to beware of."""
    shown = {"about": asked["shown"]} if asked["shown"] is not None else {}
    found = asked["blocks"] or list(blocks(shown, frozenset()))
    for block in found:
        at, origin = str(block["at"]), origin_of(str(block["at"]), asked["origins"])
        marks = [
            *(["critical"] if block["critical"] else []),
            *([f"from {origin}"] if origin else []),
            *block["warnings"],
        ]
        said = f"  ({', '.join(marks)})" if marks else ""
        screen.line(f"{INDENT}{at}{said}", "warn" if block["warnings"] else "dim")
        for line in str(block["value"]).split("\n"):
            screen.line(f"{INDENT}| {line}")


def ending(screen: Screen, result: Mapping[str, Any]) -> None:
    """How a run ended, or what it waits for."""
    run, reason = result["run"], result["reason"]
    if reason == "waiting":
        screen.line(f"run {run} waits", "warn")
        for asked in result["pending"]:
            screen.line(f"{INDENT}{waits_for(asked)}")
        screen.line(f"{INDENT}flyball approvals shows what is asked; flyball show {run} shows the rest.", "dim")
        return
    screen.line(f"run {run}: {reason}", "good" if result["ok"] else "bad")
    if result.get("detail"):
        screen.line(f"{INDENT}{result['detail']}")
    if "value" in result:
        screen.line(f"{INDENT}{short(result['value'])}")


def waits_for(asked: Mapping[str, Any]) -> str:
    """One line for something that waits."""
    whom = f" for {', '.join(asked['groups'])}" if asked["groups"] else ""
    why = f" because of {', '.join(asked['because'])}" if asked["because"] else ""
    return f"{asked['kind']} {asked['id']}: {asked['question'] or asked['about']}{whom}{why}"
