"""Enforce: the verdict on one proposal, under the bundles in force, for every link of the authority chain.

Rules (GATE sections 2 and 3):

* Every layer that exists must allow, for every link; each layer's groups are its own.
* A run is pinned to its release for prompts, code and tools, never for policy: each decision uses the bundles in force.
* The resource is the business object that a `Ref` argument names, loaded from its system of record; else the tool.
* Everything a decision read is kept in `Inputs`, so that `decide_again` gives the same verdict from the log alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from flyball.core.budget import NO_LIMIT, Limit
from flyball.core.budget import UNLIMITED as ENDLESS
from flyball.core.decision import Decision, Revalidate, decide
from flyball.core.effect import STREAM, Action
from flyball.core.entity import Entity
from flyball.core.errors import FlyballError, said
from flyball.core.guard import GUARD_BLOCKED, Screened, guard_answers, guard_cures
from flyball.core.input_shape import InputShape, action_word, input_shape, seen
from flyball.core.journal import BundleRow, EpochRow
from flyball.core.origin import UNKNOWN
from flyball.core.policy import Answer, Cure, Layer, Node, Request, Uid
from flyball.core.policy_context import LEFT, Facts, policy_context
from flyball.core.policy_subject import chain, entities_of, merged, resource_uid
from flyball.core.proposal import TAINT, Inputs, Proposal, Ruled
from flyball.core.signature import Signature, from_json, plain, to_json
from flyball.ports.clock import Clock
from flyball.ports.journal import Journal
from flyball.ports.policy import Compiled

# Epochs that every verdict reads, besides the run's own taint.
EPOCHS = ("policy", "kill", "directory", "brake", "release")
MOST_TAINTS = 2_000
MOST_SHAPES = 10_000
LoadEntity = Callable[[Proposal, str, str], Awaitable[Entity]]
Given = Callable[[Proposal], Mapping[str, tuple[str, ...]]]


_SHAPES: dict[int, tuple[Action, InputShape]] = {}


def shape_of(action: Action) -> InputShape:
    """The shape of an action's arguments as policies see them, derived once for each action."""
    known = _SHAPES.get(id(action))
    if known is None or known[0] is not action:
        if len(_SHAPES) >= MOST_SHAPES:
            _SHAPES.clear()
        known = _SHAPES[id(action)] = (action, input_shape(action))
    return known[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The bundles of a tenant, outermost layer first.

    `enforced` are those that decide; a bundle wholly in shadow only says what it would. `cures` are their curable
    forbids and `fingerprints` what each policy says, both by `layer/id`; `digests` name the bundles.
    """

    layers: tuple[Compiled, ...]
    enforced: tuple[Compiled, ...] = field(init=False)
    cures: Mapping[str, Cure] = field(init=False)
    fingerprints: Mapping[str, str] = field(init=False)
    digests: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        bundles = [c.bundle for c in self.layers]
        cures = {f"{b.layer}/{i}": cure for b in bundles for i, cure in b.cures.items()}
        prints = {f"{b.layer}/{i}": told for b in bundles for i, told in b.fingerprints.items()}
        object.__setattr__(self, "enforced", tuple(c for c in self.layers if c.bundle.enforced))
        object.__setattr__(self, "cures", cures)
        object.__setattr__(self, "fingerprints", prints)
        object.__setattr__(self, "digests", tuple(b.digest for b in bundles))


class Enforce:
    """Holds the bundles in force and asks them."""

    def __init__(self, journal: Journal, clock: Clock, load: LoadEntity, given: Given, environment: str = "") -> None:
        self._journal, self._clock, self._load, self._given = journal, clock, load, given
        self._environment = environment
        self._force: dict[str, InForce] = {}
        self._epochs: dict[str, dict[str, int]] = {}
        self._taints: dict[str, int] = {}
        self.reload: Callable[[str], None] = lambda _: None

    def activate(self, tenant: str, force: InForce) -> None:
        """From now on these bundles decide for the tenant."""
        self._force[tenant] = force
        self.refresh(tenant)

    def in_force(self, tenant: str) -> InForce:
        """The bundles that decide for a tenant; raises FlyballError `no_policy` where none was activated."""
        if tenant not in self._force:
            raise FlyballError("no_policy", f"tenant {tenant} has no policy in force", fix="flyball policy activate")
        return self._force[tenant]

    def refresh(self, tenant: str, moved: str = "") -> None:
        """Reads the epochs again when they are next needed; only that of a run's taint where it is what `moved`."""
        if moved.startswith(TAINT):
            self._taints.pop(moved, None)
            return
        self._epochs.pop(tenant, None)
        self._taints.clear()

    def epochs(self, tenant: str) -> Mapping[str, int]:
        """The tenant's epochs as last read; an append that finds them moved is refused."""
        known = self._epochs.get(tenant)
        if known is None:
            view = self._journal.view(tenant)
            active = {r.digest for r in view.rows(BundleRow)}
            if tenant in self._force and active != set(self._force[tenant].digests):
                self.reload(tenant)  # whoever activated was interrupted between the log and the gate
            rows = {r.id: r.value for r in view.rows(EpochRow) if r.id in EPOCHS}
            known = self._epochs[tenant] = {name: rows.get(name, 0) for name in EPOCHS}
        return known

    def _taint(self, p: Proposal) -> dict[str, int]:
        # Read apart from the run's own memory: a sibling branch may have read something untrusted meanwhile.
        return {name: self._tainted(p.place.tenant, name) for name in p.place.taints}

    def _tainted(self, tenant: str, name: str) -> int:
        if name not in self._taints:
            if len(self._taints) > MOST_TAINTS:
                self._taints.clear()
            row = self._journal.row(tenant, EpochRow, name)
            self._taints[name] = row.value if row else 0
        return self._taints[name]

    async def rule(self, proposal: Proposal) -> Ruled:
        """The verdict, with everything it read. Never raises for what a policy or an entity loader does: it denies."""
        tenant = proposal.place.tenant
        taint = self._taint(proposal)
        epochs = dict(self.epochs(tenant)) | taint  # before the bundles: they are never older than their epoch
        force = self.in_force(tenant)
        if any(taint.values()):  # as the epoch says that T1 carries, whatever is read again while this waits
            proposal = replace(proposal, place=replace(proposal.place, tainted=True))
        proposal, trouble = await self._resolve(proposal)
        inputs = self._inputs(proposal, trouble)
        again = partial(revalidated, proposal.performer.signature)
        decision = decide_again(proposal.action, proposal.arguments, inputs, force, again)
        origins = origins_after(inputs.origins, proposal.arguments, decision.arguments)
        if origins is not inputs.origins:
            proposal, inputs = replace(proposal, labels=origins), replace(inputs, origins=origins)
        return Ruled(
            proposal=proposal, decision=decision, inputs=inputs, epochs=epochs,
            bundles=force.digests, fingerprints=force.fingerprints,
            shadow=_shadow(proposal.action, decision, inputs, force),
        )  # fmt: skip

    async def first(self, proposal: Proposal) -> tuple[Proposal, tuple[str, ...]]:
        """The cheap pass: permits and plain forbids on what was proposed, before any guard looks. Gives the proposal
        with its resource, and what denies it: empty where nothing does."""
        resolved, unresolved = await self._resolve(proposal)
        inputs = self._inputs(resolved, unresolved)
        if inputs.trouble:
            return resolved, inputs.trouble
        force = self.in_force(proposal.place.tenant)
        said = answers(resolved.action, resolved.arguments, inputs, force, {}, plain=True)
        if said and all(a.allow and not a.errors for a in said):
            return resolved, ()
        against = {name for a in said if not a.allow or a.errors for name in (*a.determining, *a.errors)}
        return resolved, tuple(sorted(against)) or ("no policy permits it",)

    def streams(self, ruled: Ruled) -> Ruled:
        """Whether the answer of a model call may be shown while it arrives: where policy permits `stream` as it stands,
        under the bundles and on the facts of its verdict."""
        p = ruled.proposal
        if p.performer.streaming is None:
            return ruled
        shown = may_stream(ruled.decision.arguments, ruled.inputs, self.in_force(p.place.tenant))
        return replace(ruled, proposal=replace(p, streams=shown))

    async def _resolve(self, proposal: Proposal) -> tuple[Proposal, str]:
        """The business object that an argument names, with its parents; or why there is none."""
        named = next(iter(proposal.action.refs.items()), None)
        if named is None or proposal.resource is not None:
            return proposal, ""
        argument, kind = named
        name = proposal.arguments.get(argument)
        if not isinstance(name, str) or not name:
            return proposal, f"argument {argument} names no {kind}"
        uid = Uid(kind, name)
        try:
            nodes = _nodes(uid, await self._load(proposal, kind, name))
        except Exception as bad:  # noqa: BLE001 - a station boundary: the object is unresolved, and so denied
            return proposal, f"{kind} {name!r} could not be loaded: {said(bad)}"
        return replace(proposal, resource=uid, entities=nodes), ""

    def _inputs(self, p: Proposal, unresolved: str) -> Inputs:
        trouble: tuple[str, ...] = ("entity_unresolved", unresolved) if unresolved else ()
        if not trouble and p.performer.reserved is None:
            trouble = ("unknown_price",)
        if not trouble and p.screened is not None:
            trouble = _objected(p.screened)
        resource = p.resource or resource_uid(p.action, shape_of(p.action), p.arguments)
        links = chain(p.authority)
        return Inputs(
            action=action_word(p.action), links=tuple(nodes[0].uid for nodes in links),
            resource=resource, entities=_entities(p, resource), origins=p.labels,
            facts=self._facts(p), approvals=dict(self._given(p)), proposed=p.digest,
            trouble=trouble, escalated=p.screened.escalated if p.screened is not None else {},
        )  # fmt: skip

    def _facts(self, p: Proposal) -> Facts:
        place = p.place
        return Facts(
            origin=p.labels, left=_left(place.left), did=tuple(sorted(place.did)), denied=tuple(sorted(place.denied)),
            tainted=place.tainted, release=place.release, env=self._environment, now=self._clock.now() // 1000,
            guard=p.screened.signals if p.screened is not None else {}, signals=place.signals,
        )  # fmt: skip


def _objected(screened: Screened) -> tuple[str, ...]:
    """Why guards deny it before any policy is asked about what is left; empty where they do not."""
    if screened.refused:  # what was proposed was denied: that a part of it was redacted does not help
        return ("policy denies what was proposed", *screened.refused)
    blocked = screened.blocked
    return (GUARD_BLOCKED, f"{blocked.guard}: {blocked.reason}") if blocked is not None else ()


def _entities(p: Proposal, resource: Uid) -> tuple[Node, ...]:
    if not p.entities:
        return entities_of(p.authority, resource)
    return merged(*chain(p.authority), p.entities, (Node(uid=resource),))


def _nodes(uid: Uid, entity: Entity) -> tuple[Node, ...]:
    """What a loader gave, as a decision reads it; raises where it gave something else, or what no record can hold."""
    if not isinstance(entity, Entity):
        raise TypeError(f"its loader gave {type(entity).__name__}, not an Entity")
    parents, attrs = entity.uids(), dict(entity.attrs)
    plain([attrs, parents])  # kept as they are: an attribute may be an entity
    as_of = int(entity.as_of.timestamp() * 1_000_000) if entity.as_of else None
    return Node(uid=uid, attrs=attrs, parents=parents, as_of=as_of), *(Node(uid=parent) for parent in parents)


def decide_again(
    action: Action, arguments: Mapping[str, Any], inputs: Inputs, force: InForce, again: Revalidate = lambda _: None
) -> Decision:
    """The verdict from recorded inputs: what `rule` decides with, and what a replay derives again.

    `again` validates arguments that a modifier has changed (see `revalidated`); what was changed is of unknown origin.
    """
    if inputs.trouble:
        reason, *errors = inputs.trouble
        return Decision(outcome="deny", arguments=arguments, reason=reason, errors=tuple(errors))

    def ask(final: Mapping[str, Any], given: Mapping[Layer, frozenset[str]], plain: bool) -> tuple[Answer, ...]:
        facts = inputs.facts
        if final is not arguments:
            facts = replace(facts, origin=origins_after(facts.origin, arguments, final))
        said = answers(action, final, replace(inputs, facts=facts), force, given, plain)
        return said + guard_answers(inputs.escalated, given, plain) if inputs.escalated else said

    held: dict[Layer, frozenset[str]] = {layer: frozenset(g) for layer, g in inputs.approvals.items()}  # type: ignore[misc]
    cures = {**force.cures, **guard_cures(inputs.escalated)} if inputs.escalated else force.cures
    return decide(arguments, ask, cures, again, held)


def may_stream(arguments: Mapping[str, Any], inputs: Inputs, force: InForce) -> bool:
    """May the answer of the model call that was decided on these inputs be shown while it arrives? What would need an
    approval or a change is not."""
    return decide_again(STREAM, arguments, replace(inputs, action=action_word(STREAM)), force).outcome == "allow"


def origins_after(origins: Mapping[str, str], before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, str]:
    """Origins of arguments that a modifier may have changed: what changed came from nobody who is known."""
    if after is before:
        return origins
    return {n: origins.get(n, UNKNOWN) if before.get(n) == v else UNKNOWN for n, v in after.items()}


def revalidated(signature: Signature | None, arguments: Mapping[str, Any]) -> Mapping[str, Any] | str:
    """Changed arguments as the tool would get them, or why it cannot take them."""
    if signature is None:
        return arguments
    try:
        return to_json(from_json(arguments, signature.arguments))  # type: ignore[no-any-return]
    except msgspec.ValidationError as bad:
        return f"the modified arguments do not fit: {bad}"


def answers(
    action: Action, arguments: Mapping[str, Any], inputs: Inputs, force: InForce,
    given: Mapping[Layer, frozenset[str]], plain: bool,
) -> tuple[Answer, ...]:  # fmt: skip
    """What each bundle says of each link of the chain, layer by layer; `plain` asks permits and plain forbids only."""
    try:
        context = policy_context(shape_of(action), seen(action, arguments), inputs.facts)
    except FlyballError as bad:
        return (Answer(allow=False, errors=(str(bad),)),)
    answers = []
    for compiled in force.enforced:
        layer = compiled.bundle.layer
        for link in inputs.links:
            request = Request(
                principal=link, action=inputs.action, resource=inputs.resource, context=context,
                entities=inputs.entities, approvals=given.get(layer, frozenset()),
            )  # fmt: skip
            answers.append(compiled.evaluate_plain(request) if plain else compiled.evaluate(request))
    return tuple(answers)


def _shadow(action: Action, decision: Decision, inputs: Inputs, force: InForce) -> tuple[str, ...]:
    """What shadowed policies would have denied: recorded, not enforced."""
    shadowed = [c for c in force.layers if c.bundle.shadow]
    if not shadowed or decision.errors:
        return ()
    context = policy_context(shape_of(action), seen(action, decision.arguments), inputs.facts)
    found: set[str] = set()
    for compiled in shadowed:
        for link in inputs.links:
            answer = compiled.evaluate_shadow(Request(
                principal=link, action=inputs.action, resource=inputs.resource, context=context,
                entities=inputs.entities,
                approvals=frozenset(inputs.approvals.get(compiled.bundle.layer, ())),
            ))  # fmt: skip
            if not answer.allow:
                names = {f"{compiled.bundle.layer}/{i}" for i in compiled.bundle.shadow}
                found |= names & set(answer.determining)
    return tuple(sorted(found))


def _left(limit: Limit) -> dict[str, int]:
    return {} if limit == ENDLESS else {d: left for d in LEFT if (left := getattr(limit, d)) != NO_LIMIT}


def layers_of(force: Sequence[Compiled]) -> InForce:
    """Bundles in the order of their layers."""
    order = {"platform": 0, "tenant": 1, "project": 2}
    return InForce(layers=tuple(sorted(force, key=lambda c: order[c.bundle.layer])))
