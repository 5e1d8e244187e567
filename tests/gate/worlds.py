"""Made-up policy sets and proposals for the laws of the loop, on real Cedar; and an oracle that tries verdicts out.

A world is drawn with one function, `choose(options)`: hypothesis draws with it, and so does a seeded generator.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cedarpy

from flyball.adapters.policy_cedar.bundles import bundle_of
from flyball.adapters.policy_cedar.compiled import CedarCompiled
from flyball.adapters.policy_cedar.schema import generate
from flyball.adapters.policy_cedar.shape import Policy, shaped
from flyball.core.decision import Decision, closure, decide, strongest
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.identity import Authority, Principal
from flyball.core.input_shape import input_shape
from flyball.core.modify import apply, conflict
from flyball.core.policy import Answer, Cure, Layer, Node, Request, Uid
from flyball.core.policy_context import policy_context
from flyball.core.policy_subject import chain

Choose = Callable[[Sequence[Any]], Any]

TEXT, MAYBE = {"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
ACT = Action(
    name="act",
    effect="irreversible",
    input_schema={
        "type": "object",
        "required": ["amount", "note"],
        "properties": {"amount": {"type": "integer"}, "note": TEXT, "extra": MAYBE, "tag": MAYBE},
    },
)
SHAPE = input_shape(ACT)
SCHEMA = generate([ACT], {})
SCHEMA[""]["actions"] = {n: SCHEMA[""]["actions"][n] for n in ("act", "read", "reversible", "irreversible")}
TOOL = Node(uid=Uid("Tool", "act"))
LINKS = chain(Authority(principal=Principal("user:kim", groups=frozenset({"staff"}))).through("writer", "executor"))

PERMITS = {
    "p-all": "permit (principal, action, resource)",
    "p-small": "permit (principal, action, resource) when { context.input.amount <= 600 }",
    "p-staff": 'permit (principal in Group::"staff", action, resource)',
    "p-agents": "permit (principal is Agent, action, resource)",
}
FORBIDS = {
    "f-huge": "forbid (principal, action, resource) when { context.input.amount > 900 }",
    "f-bad": 'forbid (principal, action, resource) when { context.input.note == "bad" }',
    "f-hidden": 'forbid (principal, action, resource) when { context.input.note == "hidden" && context.input has tag }',
    "f-error": "forbid (principal, action, resource) when { context.input.amount * 9223372036854775807 > 4 }",
}
ASKS = {
    "a-finance": ("finance", "context.input.amount > 200"),
    "a-two": ("finance:2", "context.input.amount > 400"),
    "a-legal": ("legal", 'context.input.note like "*plan*"'),
    "a-tagged": ("legal", "context.input has tag"),
    "a-agent": ("ops", "principal is Agent && context.input.amount > 300"),
}
MODIFIERS = {
    "m-clamp": ("clamp:/amount:500", "context.input.amount > 500"),
    "m-drop": ("drop:/extra", "context.input has extra"),
    "m-hide": ('replace_const:/note:"hidden"', 'context.input.note like "*secret*"'),
    "m-chain": ("drop:/tag", 'context.input has tag && context.input.note == "hidden"'),
    "m-other": ('replace_const:/note:"other"', 'context.input.note like "*secret*"'),
    "m-stuck": ("mask:/tag", "context.input has tag"),
}
SCOPE = "forbid (principal, action, resource)"
ALL: dict[str, str] = {
    **PERMITS,
    **FORBIDS,
    **{
        name: f'@require_approval("{who}") {SCOPE} when {{ {when} }} unless {{ context.approvals.contains("{who}") }}'
        for name, (who, when) in ASKS.items()
    },
    **{name: f"@modify({json.dumps(change)}) {SCOPE} when {{ {when} }}" for name, (change, when) in MODIFIERS.items()},
}


@dataclass(frozen=True)
class World:
    """Policies of each layer by id, and one proposal."""

    platform: tuple[str, ...]
    project: tuple[str, ...]
    arguments: Mapping[str, Any] = field(hash=False)

    @property
    def layers(self) -> tuple[CedarCompiled, ...]:
        return tuple(
            compiled(layer, ids) for layer, ids in (("platform", self.platform), ("project", self.project)) if ids
        )

    @property
    def cures(self) -> dict[str, Cure]:
        return {f"{c.bundle.layer}/{i}": cure for c in self.layers for i, cure in c.bundle.cures.items()}

    def ask(
        self, arguments: Mapping[str, Any], approvals: Mapping[Layer, frozenset[str]], plain: bool
    ) -> tuple[Answer, ...]:
        return asked(self.layers, arguments, approvals, plain)

    def decide(self, arguments: Mapping[str, Any] | None = None, given: Any = None) -> Decision:
        return decide(
            self.arguments if arguments is None else arguments, self.ask, self.cures, revalidated, given or {}
        )

    def everyone(self) -> dict[Layer, frozenset[str]]:
        """Every approval that any policy names."""
        named: dict[Layer, frozenset[str]] = {}
        for cure in self.cures.values():
            if cure.approval:
                named[cure.layer] = named.get(cure.layer, frozenset()) | {cure.approval}
        return named


def drawn(choose: Choose) -> World:
    """A world; few policies each, so that no verdict drowns the others."""
    permit = choose([*["p-all"] * 12, "p-small", "p-small", "p-staff", "p-agents"])
    forbids = [choose([*[None] * 8, *FORBIDS])]
    asks = [choose([None, None, None, *ASKS]) for _ in range(2)]
    changes = [choose([None, *MODIFIERS, "m-drop", "m-drop", "m-hide", "m-clamp"]) for _ in range(2)]
    rest = sorted({p for p in (*forbids, *asks, *changes) if p})
    upper = [p for p in rest if choose([False, False, True])]
    arguments = {
        "amount": choose([1, 1, 150, 150, 250, 350, 550, 650, 950]),
        "note": choose(["", "plan", "secret", "secret", "hidden", "bad"]),
        "extra": choose([None, "x"]),
        "tag": choose([None, None, None, "t"]),
    }
    return World(
        platform=tuple(["p-all", *upper] if upper else []),
        project=(permit, *(p for p in rest if p not in upper)),
        arguments={k: v for k, v in arguments.items() if v is not None},
    )


def revalidated(arguments: Mapping[str, Any]) -> Mapping[str, Any] | str:
    """Stands for a tool's own checks: text must remain text, and an odd amount cannot do without its extra."""
    if arguments["amount"] % 100 and arguments["amount"] > 600 and "extra" not in arguments:
        return "an amount like this needs its extra"
    return arguments


@functools.cache
def policy(name: str, layer: Layer) -> Policy:
    whole = json.loads(cedarpy.policies_to_json_str(f'@id("{name}") {ALL[name]};'))
    made = shaped(whole["staticPolicies"]["policy0"], name, layer)
    assert isinstance(made, Policy), made
    return made


@functools.cache
def compiled(layer: Layer, ids: tuple[str, ...]) -> CedarCompiled:
    policies = [policy(name, layer) for name in ids]
    return CedarCompiled(bundle_of(layer, "laws", policies, SCHEMA, frozenset()), policies, SCHEMA)


def asked(
    layers: Sequence[CedarCompiled],
    arguments: Mapping[str, Any],
    approvals: Mapping[Layer, frozenset[str]],
    plain: bool,
) -> tuple[Answer, ...]:
    context = policy_context(SHAPE, arguments)
    answers = []
    for layer, nodes in itertools.product(layers, LINKS):
        request = Request(
            principal=nodes[0].uid,
            action="act",
            resource=TOOL.uid,
            context=context,
            entities=(*nodes, TOOL),
            approvals=approvals.get(layer.bundle.layer, frozenset()),
        )
        answers.append(layer.evaluate_plain(request) if plain else layer.evaluate(request))
    return tuple(answers)


# The oracle: the words of the contract, by trying out ---------------------------------------------------------------


def oracle(world: World) -> tuple[str, Mapping[str, Any], frozenset[tuple[Layer, str]]]:
    """Outcome, final arguments and the smallest set of approvals, found without the loop."""
    nobody: tuple[str, Mapping[str, Any], frozenset[tuple[Layer, str]]] = ("deny", world.arguments, frozenset())
    if any(a.errors for a in world.ask(world.arguments, {}, False)):
        return nobody
    if allowed(world, world.arguments, frozenset()):
        return "allow", world.arguments, frozenset()
    if not all(a.allow for a in world.ask(world.arguments, {}, True)):
        return nobody
    final = _changed(world)
    if final is None:
        return nobody
    for approvals in _by_size(world):
        if allowed(world, final, approvals):
            outcome = "require_approval" if approvals else "modify" if final != world.arguments else "allow"
            return outcome, final, approvals
    return nobody


def allowed(world: World, arguments: Mapping[str, Any], approvals: frozenset[tuple[Layer, str]]) -> bool:
    spelt = {layer: closure(frozenset(a for where, a in approvals if where == layer)) for layer, _ in approvals}
    return all(a.allow and not a.errors for a in world.ask(arguments, spelt, False))


def _changed(world: World) -> Mapping[str, Any] | None:
    final, used = world.arguments, []
    for _ in range(len(MODIFIERS) + 1):
        firing = [c for c in world.cures.values() if c.modifier and _fires(c, final)]
        if not firing:
            return final
        used += [c.modifier for c in firing if c.modifier]
        if conflict(used):
            return None
        try:
            final = apply(final, [c.modifier for c in firing if c.modifier])
        except FlyballError:
            return None
        if isinstance(revalidated(final), str):
            return None
    return None


def _fires(cure: Cure, arguments: Mapping[str, Any]) -> bool:
    alone = compiled(cure.layer, ("p-all", cure.policy))
    return not all(a.allow for a in asked([alone], arguments, {}, False))


def _by_size(world: World) -> list[frozenset[tuple[Layer, str]]]:
    named = [(layer, a) for layer, approvals in sorted(world.everyone().items()) for a in sorted(approvals)]
    sets = [frozenset(c) for size in range(len(named) + 1) for c in itertools.combinations(named, size)]
    return [
        s
        for s in sets
        if all(frozenset(a for w, a in s if w == layer) == strongest(a for w, a in s if w == layer) for layer, _ in s)
    ]
