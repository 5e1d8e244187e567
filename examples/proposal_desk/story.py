"""How the demo tells what happened: every line is made of what the processes said, briefly."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

MOST: Final = 72
WIDTH: Final = 118
# Every command says that the model is a script; here it is said once, at the top.
NOTE: Final = "note: scripted"


class Story:
    """The worker's recorded events, as they come: what was simply allowed is gathered, an agent's own in brackets."""

    def __init__(self) -> None:
        self._paths, self._told, self._inside = list[str](), list[str](), ""

    def hear(self, word: str, facts: Mapping[str, Any]) -> None:
        """Tells one event."""
        if word == "decided" and facts["outcome"] == "allow":
            self._allowed(str(facts.get("by", "")), str(facts["path"]), str(facts["action"]))
            return
        line = _line(word, facts)
        if line:
            self.flush()
            _say(line)

    def flush(self) -> None:
        """Tells what was gathered."""
        if self._paths:
            span = self._paths[0] if len(self._paths) == 1 else f"{self._paths[0]}-{self._paths[-1]}"
            end = ")" if self._inside else ""
            _say(f"{span:<9} allow: {', '.join(self._told)}{end}")
        self._paths, self._told, self._inside = [], [], ""

    def _allowed(self, by: str, path: str, action: str) -> None:
        agent = by if "." in path else ""
        if agent != self._inside and self._told:
            self._told[-1] += ")" if self._inside else ""
        said = f"{agent} ({action}" if agent != self._inside and agent else action
        if agent and agent != self._inside and self._told and self._told[-1] == agent:
            said = f"{self._told.pop()} ({action}"
        self._inside = agent
        self._paths.append(path)
        self._told.append(said)


def _say(line: str) -> None:
    print(_filled(f"   worker: {line}", " " * 21), flush=True)


def _line(word: str, facts: Mapping[str, Any]) -> str:
    """A recorded event as a line for a person; empty for what another line says too."""
    at = f"{facts.get('path', ''):<9}"
    if word == "decided":
        why = ", ".join(facts.get("policies", ()))
        return f"{at} {facts.get('by', 'flow'):<10} {facts['action']}: {facts['outcome'].upper()} by {_bare(why)}"
    if word == "executed":
        good = facts["status"] == "executed" and not facts.get("code", "").startswith("result")
        return "" if good else f"{at} {'':<10} {facts['action']}: {facts['status']} ({facts.get('code', '')})"
    if word == "waiting" and facts.get("about"):
        groups, because = ", ".join(facts.get("groups", ())), ", ".join(facts.get("because", ()))
        return _bare(f"{at} waits for {groups}: {facts['about']}{f' ({because})' if because else ''}")
    if word == "ended":
        return f"{'the run':<9} ended: {facts['reason']}. {facts.get('detail', '')}".rstrip(". ")
    return f"run {facts['id']}" if word == "run" else ""


def _filled(line: str, indent: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def _bare(text: str) -> str:
    return text.replace("project/", "")


# what commands answered -----------------------------------------------------------------------------------------------
def typed(*words: str, who: str = "", then: str = "") -> None:
    """A command as somebody typed it."""
    print(f"   {f'{who}: ' if who else ''}$ flyball {shlex.join(words)}{then}", flush=True)


def first_line(text: str) -> str:
    """The line with which a command says what it did."""
    return next((line for line in text.splitlines() if not line.startswith(NOTE)), "")


def indented(text: str) -> None:
    """What a command said."""
    for line in text.splitlines():
        if not line.startswith(NOTE):
            print(f"      {line}", flush=True)


def selected(text: str, command: str, *beginnings: str) -> None:
    """Some lines of what a command said, and how many more there are."""
    lines = [line for line in text.splitlines() if not line.startswith(NOTE)]
    shown = [line for line in lines if line.startswith(beginnings)]
    print(f"   $ flyball {command}", flush=True)
    indented("\n".join(shown))
    print(f"      ... and {len(lines) - len(shown)} lines more", flush=True)


def denied(explained: Sequence[Mapping[str, Any]], target: str, because: Sequence[str]) -> None:
    """Why something was denied: what it was about, where that came from, and the policy."""
    print(f"   $ flyball policy explain {target}", flush=True)
    for told in explained:
        print(f"      {told['action']}: {told['outcome']}, {told['reason']}", flush=True)
        for name, value in told["arguments"].items():
            text = str(value).replace("\n", " ")
            short = text if len(text) <= MOST else f"{text[:MOST]}..."
            print(f"      {name} = {short}  (from {told['origins'].get(name, 'unknown')})", flush=True)
        for policy in told["policies"]:
            if policy["id"] in because:
                text = " ".join(policy["text"].split())
                print(_filled(f"      {text}", " " * 9), flush=True)


def effects(run: Mapping[str, Any]) -> None:
    """Every step of a run that was to change something: whose authority, which policies, who signed, what became."""
    print(f"   $ flyball show {run['id']}", flush=True)
    by = run["by"]["id"] if isinstance(run["by"], Mapping) else run["by"]
    print(f"      {run['what']} for {by}: {run['reason']}", flush=True)
    for step in run["steps"]:
        if step["effect"] in ("reversible", "irreversible"):
            became = f"{step['state']}, {step['verdict']} by {_bare(', '.join(step['policies']))}"
            chain = " > ".join(step["authority"])
            line = f"{step['path']:<5} {step['action']} ({chain}): {became}"
            print(_filled(f"      {line}", " " * 12), flush=True)
            for person in step["people"]:
                how = "with a key" if person["assurance"] == "key" else f"vouched for by {person['assurance']}"
                print(f"            {person['did']} by {person['by']}, {how}: {person['reason']}", flush=True)
