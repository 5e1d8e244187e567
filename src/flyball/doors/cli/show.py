"""`flyball show`: tells a run from its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from flyball.core.effect import REQUIRES
from flyball.core.guard import GUARD_BLOCKED
from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.output import Screen
from flyball.doors.cli.paper import Tone
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import BRIEF, INDENT, LONG, WHOLE, amounts, cut, leaves, moment, short

_TONES: Mapping[str, Tone] = {
    "executed": "good", "met": "good", "not met": "bad", "failed": "bad", "blocked": "bad", "rejected": "bad",
    "unknown": "warn", "waiting": "warn",
}  # fmt: skip


@click.command(
    "show", help="Tell RUN: who did what, under whose authority, why it was allowed, what it cost, what is open."
)
@click.argument("run")
@click.option("--full", is_flag=True, help="Every value of every step, nothing cut.")
@pass_shell
def command(shell: Shell, run: str, full: bool) -> None:
    """Tells it."""
    told = ask(shell, "show", run=run)
    say(shell, "shown", told, lambda screen: tell(screen, told["run"], full=full))


def tell(screen: Screen, told: Mapping[str, Any], *, full: bool = False) -> None:
    """The run for people. Unless `full`, what only reads is told briefly, and long values are cut."""
    _head(screen, told, WHOLE if full else LONG)
    for step in told["steps"]:
        _step(screen, step, full)
    screen.line()
    cost = told["cost"]
    held = f"; still reserved: {amounts(cost['held'])}" if cost["held"] else ""
    screen.line(f"cost: {amounts(cost['used'])}{held}, {told['active_ms'] / 1000:g} s driven")
    for item in told["open"]:
        screen.line(f"open: {_open(item)}", "warn")
    if not told["open"]:
        screen.line("open: nothing", "dim")


def _head(screen: Screen, told: Mapping[str, Any], most: int) -> None:
    state = told["reason"] or told["state"]
    screen.line(
        f"run {told['id']}: {told['kind']} {told['what']}, {state}", "good" if state == "completed" else "title"
    )
    facts = {
        "by": _by(told["by"]), "subject": told["subject"], "input": short(told["input"], most),
        "started": f"{moment(told['started'])}, ended {moment(told['ended'])}", "release": told["release"][:12],
        "policies": ", ".join(f"{layer} {digest[:12]}" for layer, digest in told["bundles"].items()),
    }  # fmt: skip
    if told["limits"]:
        facts["limits"] = amounts(told["limits"])
    if told["detail"]:
        facts["detail"] = told["detail"]
    if told["stopped"] is not None:
        facts["stopped"] = told["stopped"]
    if told["reason"] == "completed":
        facts["result"] = short(told["result"], most)
    if told["next"]:
        facts["next turn"] = f"agent {told['next']}"
    if told["tainted"]:
        facts["tainted"] = "it read what nobody vouches for"
    screen.facts(facts)


def _by(by: Any) -> str:
    if not isinstance(by, Mapping):
        return str(by)
    groups = f", in {', '.join(sorted(by['groups']))}" if by["groups"] else ""
    behalf = f", on behalf of {by['on_behalf_of']}" if by.get("on_behalf_of") else ""
    return f"{by['id']} (vouched for by {by['assurance']}{groups}{behalf})"


def _step(screen: Screen, step: Mapping[str, Any], full: bool) -> None:
    effect = f" ({step['effect']})" if step["effect"] else ""
    screen.line()
    screen.line(f"{step['path']}  {step['action']}{effect}: {step['state']}", _TONES.get(step["state"], "plain"))
    if step["authority"]:
        screen.line(f"{INDENT}authority  {' > '.join(step['authority'])}")
    for at, value, origin in _values(step, full):
        source = f"  (from {origin})" if origin else ""
        screen.line(
            f"{INDENT}{at.lstrip('/') or 'arguments'} = {value.replace(chr(10), f'{chr(10)}{INDENT}    ')}{source}"
        )
    if step.get("stated"):
        screen.line(f"{INDENT}it says    {short(step['stated'], LONG)}", "dim")
    for look in _looks(step):
        screen.line(f"{INDENT}{look}")
    if step.get("verdict"):
        screen.line(f"{INDENT}{_verdict(step)}", "bad" if step["verdict"] == "deny" else "plain")
    for told in sorted([*step["asked"], *step["people"]], key=lambda each: each["time"]):
        screen.line(f"{INDENT}{_person(told) if 'did' in told else _asked(told)}")
    for attempt in step["attempts"]:
        screen.line(f"{INDENT}{_attempt(attempt, full)}")
        for look in _looks(attempt):
            screen.line(f"{INDENT}{look}")


def _looks(told: Mapping[str, Any]) -> Iterator[str]:
    """What guards said, but for those that found nothing."""
    for look in told.get("guards", ()):
        if look["verdict"] != "pass":
            why = look.get("failed") or f"{look.get('reason', '')} {look.get('score', 0)}"
            done = "" if look["enforced"] == look["verdict"] else f", enforced: {look['enforced']}"
            yield f"guard      {look['guard']} at {look['stage']}: {look['verdict']} ({why}){done}"


def _values(step: Mapping[str, Any], full: bool) -> Iterator[tuple[str, str, str]]:
    """Leaf by leaf where something is done; one line for each argument where something is only read."""
    arguments, origins = step["arguments"], step.get("origins", {})
    if full or step["asked"] or step["effect"] in ("reversible", "irreversible") or not isinstance(arguments, Mapping):
        for at, value, origin in leaves(arguments, origins):
            yield at, value if full else cut(value, LONG), origin
    elif step["kind"] != "model" and not step["action"].endswith(REQUIRES):  # its arguments are told with its tool
        for name, value in arguments.items():
            yield name, short(value, BRIEF), origins.get(name, "")


def _verdict(step: Mapping[str, Any]) -> str:
    by = f" by {', '.join(step['policies'])}" if step["policies"] else ""
    changed = f", changed by {', '.join(step['modifiers'])}" if step.get("modifiers") else ""
    lifted = f", lifted by {step['approval']}" if step.get("approval") else ""
    lifted += f", after asking {step['precondition'].split('/')[1]}" if step.get("precondition") else ""
    reason = f" ({step['reason']})" if step.get("reason") else ""
    errors = f": {'; '.join(step['errors'])}" if step.get("errors") else ""
    problem = f": {step['problem']}" if step.get("problem") else ""
    return f"verdict    {step['verdict']}{reason}{by}{changed}{lifted}{errors}{problem}"


def _asked(asked: Mapping[str, Any]) -> str:
    why = f" because of {', '.join(asked['because'])}" if asked["because"] else ""
    what = f": {asked['question']}" if asked["question"] else ""
    whom = ", ".join(asked["groups"]) or "anybody who knows"
    return f"asked      {asked['id']} of {whom}{why}{what}, {moment(asked['time'])}"


def _person(person: Mapping[str, Any]) -> str:
    group = f" for {person['group']}" if person.get("group") else ""
    how = "with a key" if person["signed"] else f"vouched for by {person['assurance']}" if person["assurance"] else ""
    told = f"{person['did']:<10} by {person['by']}{group}{f', {how}' if how else ''}, {moment(person['time'])}"
    if person.get("changed"):
        told += f", {short(person['changed'])}"
    if person.get("status"):
        told += f", it is {person['status']}"
    if person.get("value") is not None:
        told += f", {short(person['value'])}"
    return f'{told}: "{person["reason"]}"' if person["reason"] else told


def _attempt(attempt: Mapping[str, Any], full: bool) -> str:
    late = "late " if attempt["late"] else ""
    code = {"": "", "untrusted": ", nobody vouches for its result"}.get(attempt["code"], f" ({attempt['code']})")
    unfit = attempt["result_invalid"] and attempt["code"] != GUARD_BLOCKED
    invalid = ", the result does not fit its type" if unfit else ""
    error = f": {attempt['error']}" if attempt["error"] else ""
    result = f": {short(attempt['result'], WHOLE if full else BRIEF)}" if attempt["result"] is not None else ""
    used = f", {amounts(attempt['usage'])}" if attempt["usage"] else ""
    return f"{late}attempt {attempt['attempt']}  {attempt['status']}{code}{invalid}{used}{error}{result}"


def _open(item: Mapping[str, Any]) -> str:
    if item["kind"] == "timer":
        return f"it wants to go on at {moment(item['until'])}"
    if item["kind"] == "intent":
        return f"{item['about']} began and nobody recorded how it ended ({item['id']})"
    whom = ", ".join(item["groups"]) or "anybody who knows"
    until = f", until {moment(item['expires'])}" if item["expires"] else ""
    return f"{item['kind']} {item['id']} waits for {whom}{until}"
