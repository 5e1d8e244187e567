"""Cedar behind `ports.policy`: text to checked bundle, bundle to answers.

`compile` reads text in a child process, checks it against the schema that the project's actions and entities make,
checks the shapes that Cedar knows nothing of, and shows that every modifier lifts its own forbid. `load` opens what
was compiled before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import cedarpy
import orjson

from flyball.adapters.policy_cedar.bundles import bundle_of, opened
from flyball.adapters.policy_cedar.canary import canary
from flyball.adapters.policy_cedar.child import Checked, Fault, check
from flyball.adapters.policy_cedar.compiled import CedarCompiled
from flyball.adapters.policy_cedar.draft import draft
from flyball.adapters.policy_cedar.modifiers import modifier_findings
from flyball.adapters.policy_cedar.named import name_findings
from flyball.adapters.policy_cedar.schema import generate
from flyball.adapters.policy_cedar.shape import OURS, Policy, duplicates, shaped
from flyball.adapters.policy_cedar.wording import UNREACHABLE, findings
from flyball.core.effect import Action
from flyball.core.policy import GUARDS, SIGNALS, Bundle, Finding, Layer, PolicyError, Source

BUILT_IN: Final = "flyball/built-in"
_NAMED: Final[Mapping[str, re.Pattern[str]]] = {
    GUARDS: re.compile(r"\bguard\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)"),
    SIGNALS: re.compile(r"\bsignals\s*(?:\.\s*|\bhas\s+)([A-Za-z_][A-Za-z0-9_]*)"),
}
EFFECT_GROUPS: Final = frozenset({"read", "reversible", "irreversible"})


class CedarEngine:
    """A policy engine that has proved, before anything is asked of it, that its forbids fire."""

    def __init__(self) -> None:
        canary()

    def compile(
        self, source: Source, actions: Sequence[Action], entities: Mapping[str, Mapping[str, object]]
    ) -> CedarCompiled:
        """Checks and compiles; raises PolicyError with every finding, in the order of files and lines."""
        schema = generate(actions, _named(source, entities))
        texts = {**source.files, BUILT_IN: files(__package__ or __name__).joinpath("built_in.cedar").read_text("utf-8")}
        checked = check(texts, orjson.dumps(schema).decode())
        policies, found = _shaped(checked, source.layer)
        found += [*findings(_telling(checked), schema), *duplicates(policies)]
        found += name_findings(policies, actions, source.layer)
        if not found:
            found = modifier_findings(policies, actions, schema)
        if found:
            raise PolicyError(sorted(found, key=_place))
        bundle = bundle_of(source.layer, source.name, policies, schema, _shadow(source, policies))
        return CedarCompiled(bundle, policies, schema)

    def load(self, bundle: Bundle) -> CedarCompiled:
        """Opens a bundle from its content; only layer, name, digest and content need to be there."""
        return CedarCompiled(*opened(bundle))

    def schema(self, actions: Sequence[Action], entities: Mapping[str, Mapping[str, object]]) -> str:
        """The generated schema in Cedar's own writing."""
        schema: dict[str, Any] = generate(actions, entities)
        return str(cedarpy.Schema.from_json_str(orjson.dumps(schema).decode())).replace("__cedar::", "")

    def draft(self, action: Action) -> tuple[str, str]:
        """A first policy for a tool and a test case for it."""
        return draft(action)


def _named(source: Source, entities: Mapping[str, Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
    """The entities, and of guards and signals those that these policies speak of: configuring another one changes no
    bundle. One that there is not is told from those that there are."""
    found = {name: attributes for name, attributes in entities.items() if name not in _NAMED}
    for word, pattern in _NAMED.items():
        known = entities.get(word, {})
        spoken = {name for text in source.files.values() for name in pattern.findall(text)}
        if spoken:
            found[word] = {name: known[name] for name in sorted(spoken)} if spoken <= known.keys() else known
    return found


def _telling(checked: Checked) -> list[Fault]:
    """The faults without those of policies on an effect group that no tool is in: such a policy says nothing yet."""
    vacuous = {(p.file, p.line) for p in checked.policies if _groups_only(p.est.get("action", {}))}
    return [f for f in checked.faults if not (UNREACHABLE in f.what and (f.file, f.line) in vacuous)]


def _groups_only(scope: Mapping[str, Any]) -> bool:
    named = scope.get("entities") or ([scope["entity"]] if "entity" in scope else [])
    return bool(named) and scope.get("op") == "in" and all(one.get("id") in EFFECT_GROUPS for one in named)


def _shaped(checked: Checked, layer: Layer) -> tuple[list[Policy], list[Finding]]:
    policies: list[Policy] = []
    found: list[Finding] = []
    for parsed in checked.policies:
        where = f"{parsed.file}:{parsed.line}"
        policy = shaped(parsed.est, where, layer)
        if isinstance(policy, list):
            found += policy
        elif policy.id.startswith(OURS) and parsed.file != BUILT_IN:
            found.append(Finding(where=policy.where, what=f"ids that begin with {OURS} are taken", fix="Rename it."))
        else:
            policies.append(policy)
    return policies, found


def _shadow(source: Source, policies: Iterable[Policy]) -> frozenset[str]:
    return frozenset(p.id for p in policies if source.shadow or "shadow" in p.annotations)


def _place(finding: Finding) -> tuple[str, int]:
    file, _, rest = finding.where.partition(" ")[0].rpartition(":")
    return file, int(rest) if rest.isdigit() else 0
