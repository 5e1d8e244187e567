"""A first policy for a tool, and a case that tests it: something to begin from, strict enough to be left as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from flyball.adapters.policy_cedar.sample import sample
from flyball.core.effect import Action

GROUP: Final = "staff"
APPROVERS: Final = "owner"
NOTHING: Final[Mapping[str, Mapping[str, object]]] = {}


def draft(
    action: Action, precondition: Action | None = None, attributes: Mapping[str, Mapping[str, object]] = NOTHING
) -> tuple[str, str]:
    """Policy text with a permit (of the read that asks what it requires, too) and a curable forbid, and a `*.test.toml`
    case; both pass `policy check` and `test`.

    `attributes` are those of each entity type, as `@entity` declares them: the case says what the object is like.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", action.name)
    asks = action.effect != "read"
    which = f"== Action::{_text(action.name)}"
    if precondition is not None:
        which = f"in [Action::{_text(action.name)}, Action::{_text(precondition.name)}]"
    policy = f'@id("{name}-permit")\npermit (principal in Group::"{GROUP}", action {which}, resource);\n'
    if asks:
        policy += (
            f'\n@id("{name}-asks-{APPROVERS}") @require_approval("{APPROVERS}") @reason("{APPROVERS}_must_agree")\n'
            f"forbid (principal, action == Action::{_text(action.name)}, resource)\n"
            f'unless {{ context.approvals.contains("{APPROVERS}") }};\n'
        )
    kind = next(iter(action.refs.values()), "")
    resource = {n: _attribute(d) for n, d in attributes.get(kind, {}).items() if not n.endswith("?")}
    return policy, _case(action, name, asks, resource)


def _case(action: Action, name: str, asks: bool, resource: Mapping[str, Any]) -> str:
    properties = action.input_schema.get("properties", {})
    values = {n: sample(properties[n]) for n in action.input_schema.get("required", ())}
    lines = [
        "[[case]]",
        f"name = {_text(f'{GROUP} may {action.name}' + (f', once {APPROVERS} agrees' if asks else ''))}",
        f"tool = {_text(action.name)}",
        f'by = {{ id = "user:somebody", groups = [{_text(GROUP)}], tenant = "local" }}',
        f"input = {_toml(values)}",
        *([f"resource = {_toml(resource)}"] if resource else []),
        f'expect = "{"require_approval" if asks else "allow"}"',
    ]
    if asks:
        lines += [f"groups = [{_text(APPROVERS)}]", f"because = [{_text(f'{name}-asks-{APPROVERS}')}]"]
    return "\n".join(lines) + "\n"


def _attribute(declared: object) -> Any:
    if isinstance(declared, Mapping):
        return sample(declared)
    return [] if str(declared).endswith("[]") else sample({"type": declared})


def _text(value: str) -> str:
    # JSON's escapes are among those of Cedar and of TOML.
    return json.dumps(value)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_text(n)} = {_toml(v)}" for n, v in value.items() if v is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value if v is not None) + "]"
    return json.dumps(value)
