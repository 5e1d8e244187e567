"""Policies in plain words: why a verdict is what it is, and what a bundle changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flyball.doors.cli.output import Screen
from flyball.doors.cli.paper import Tone
from flyball.doors.cli.telling import short

INDENT: Final = "   "
SHORT: Final = 12
MOST: Final = 10
_TONES: Final[Mapping[str, Tone]] = {"allow": "good", "modify": "warn", "require_approval": "warn", "deny": "bad"}


def explained(screen: Screen, told: Mapping[str, Any]) -> None:
    """A verdict and everything it rests on."""
    where = f" ({told['record']})" if told["record"] else ""
    screen.line(f"{told['action']}: {told['outcome']}{where}", _TONES.get(told["outcome"], "plain"))
    rounds = f"; policies were asked {told['rounds']} times" if told["rounds"] else ""
    screen.line(f"{INDENT}{told['reason']}{rounds}")
    if told["recorded"] and told["recorded"].partition(":")[0] != told["outcome"]:
        screen.line(f"{INDENT}recorded as {told['recorded']}", "warn")
    for error in told["errors"]:
        screen.line(f"{INDENT}error: {error}", "bad")
    _proposal(screen, told)
    for one in told["said"]:
        verdict = "allows" if one["allow"] else "refuses"
        policies = f" by {', '.join(one['policies'])}" if one["policies"] else "" if one["allow"] else ": no permit"
        screen.line(f"{INDENT}{one['layer']} {verdict} {one['link']}{policies}", "plain" if one["allow"] else "warn")
    for policy in told["policies"]:
        screen.line(f"{INDENT}{policy['id']}", "title")
        for line in policy["text"].split("\n"):
            screen.line(f"{INDENT}  {line}", "dim")
    for layer, digest in told["bundles"].items():
        screen.line(f"{INDENT}bundle of the {layer} layer: {digest[:SHORT]}", "dim")


def _proposal(screen: Screen, told: Mapping[str, Any]) -> None:
    if told["resource"]:
        screen.line(f"{INDENT}on {told['resource']} with {short(told['arguments'])}")
    if told["origins"]:
        screen.line(f"{INDENT}from {', '.join(f'{name}: {origin}' for name, origin in told['origins'].items())}")
    if told["stated"]:
        screen.line(f"{INDENT}the model says why: {short(told['stated'])}", "dim")
    if told["signals"]:
        screen.line(f"{INDENT}signals: {', '.join(f'{name} = {value:g}' for name, value in told['signals'].items())}")
    if told["approvals"]:
        screen.line(f"{INDENT}approved by {', '.join(told['approvals'])}")
    for person in told["people"]:
        screen.line(f"{INDENT}{person}")
    if told["groups"]:
        screen.line(f"{INDENT}asks {', '.join(told['groups'])} because of {', '.join(told['because'])}", "warn")


def activated(screen: Screen, told: Mapping[str, Any]) -> None:
    """A bundle that is in force now, and what that changes."""
    screen.line(f"{told['layer']}: bundle {told['digest'][:SHORT]} is in force", "good")
    changes(screen, told["changes"])


def changes(screen: Screen, told: Mapping[str, Any]) -> None:
    """What a bundle would decide otherwise than the one before it."""
    before = f" against {told['previous'][:SHORT]}" if told["previous"] else ""
    screen.line(f"{INDENT}{told['layer']} {told['digest'][:SHORT]}{before}", "dim")
    for word in ("added", "removed", "changed"):
        if told[word]:
            screen.line(f"{INDENT}{word}: {', '.join(told[word])}")
    tones: Mapping[str, Tone] = {"looser": "bad", "tighter": "warn"}
    for word, tone in tones.items():
        for each in told[word][:MOST]:
            screen.line(f"{INDENT}{word}: {each}", tone)
        if len(told[word]) > MOST:
            screen.line(f"{INDENT}{word}: {len(told[word]) - MOST} more", tone)
    screen.line(f"{INDENT}of the last {told['decided']} decisions, {len(told['looser'])} would be looser and "
                f"{len(told['tighter'])} tighter")  # fmt: skip
