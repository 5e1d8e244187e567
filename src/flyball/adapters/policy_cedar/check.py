"""The child process that reads policy text: deep nesting can crash the parser, so it does not run in ours.

Run as a script; reads `{"files": {name: text}, "schema": text}` from standard input and writes what it found to
standard output. It stands on cedarpy and the standard library alone, so that starting it is cheap. What it is about
to parse goes to standard error, one place per line: after a crash the last line names the culprit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import cedarpy

try:
    import resource
except ImportError:  # no limits of this kind on Windows; the parent's clock still holds
    resource = None  # type: ignore[assignment]

MAX_BRACKETS = 64
MAX_POLICY = 65_536
CPU_SECONDS = 30
MEMORY = 2 * 1024**3

_DEEP = "nested too deeply, or more than about 50 conditions in one chain; split the policy"


class Statement(NamedTuple):
    """One policy as it stands in its file; `depth` is the deepest nesting of its brackets."""

    line: int
    text: str
    depth: int


def statements(text: str) -> Iterator[Statement]:
    """The policies of a file: split at semicolons outside strings, comments and brackets."""
    start = at = depth = deepest = 0
    began = False
    while at < len(text):
        char = text[at]
        if text.startswith("//", at):
            at = _line_end(text, at)
            continue
        if not began and not char.isspace():
            began, start = True, at
        if char == '"':
            at = _string_end(text, at)
            continue
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
        at += 1
        if char == ";" and depth <= 0:
            yield Statement(text.count("\n", 0, start) + 1, text[start:at], deepest)
            began, depth, deepest = False, 0, 0
    if began:
        yield Statement(text.count("\n", 0, start) + 1, text[start:], deepest)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _string_end(text: str, at: int) -> int:
    at += 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1


def read(statement: Statement, schema: cedarpy.Schema | None) -> tuple[dict[str, Any] | None, list[str]]:
    """A policy in Cedar's JSON form, or None; and what is wrong with it."""
    if statement.depth > MAX_BRACKETS or len(statement.text) > MAX_POLICY:
        return None, [f"nested more than {MAX_BRACKETS} deep, or longer than {MAX_POLICY} characters"]
    try:
        whole = json.loads(cedarpy.policies_to_json_str(statement.text))
    except ValueError as bad:
        return None, [f"syntax: {bad}"]
    except RecursionError:
        return None, [_DEEP]
    if whole["templates"] or len(whole["staticPolicies"]) != 1:
        return None, ["templates (?principal, ?resource) are not supported; name the principal or a group"]
    try:
        cedarpy.PolicySet.from_json_str(json.dumps(whole))
    except ValueError:
        return None, [_DEEP]
    if schema is None:
        return whole["staticPolicies"]["policy0"], []
    result = cedarpy.validate_policies(statement.text, schema)
    return whole["staticPolicies"]["policy0"], [] if result.validation_passed else [e.error for e in result.errors]


def check(files: dict[str, str], schema: str) -> dict[str, Any]:
    """Every policy with its place and every fault; a schema may be Cedar text or JSON, and is optional."""
    parsed, faults = [], []
    handle = None
    if schema:
        handle = (cedarpy.Schema.from_json_str if schema.lstrip().startswith("{") else cedarpy.Schema.from_str)(schema)
    for name in sorted(files):
        for statement in statements(files[name]):
            place = {"file": name, "line": statement.line}
            sys.stderr.write(f"{name}:{statement.line}\n")
            sys.stderr.flush()
            est, wrong = read(statement, handle)
            if est is not None:
                parsed.append({**place, "est": est})
            faults += [{**place, "id": ((est or {}).get("annotations") or {}).get("id"), "what": w} for w in wrong]
    return {"policies": parsed, "faults": faults}


def _limit() -> None:
    if resource is not None:
        for what, most in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(what, (most, most))


def main() -> None:
    """Reads, checks, writes."""
    _limit()
    asked = json.loads(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(check(asked["files"], asked["schema"])))


if __name__ == "__main__":
    main()
