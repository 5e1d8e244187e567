"""What a model, flow, client or person asks for, on its way through the gate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from flyball.core.budget import UNLIMITED, ZERO, Amounts, Limit
from flyball.core.call import Call
from flyball.core.decision import Decision
from flyball.core.effect import Action
from flyball.core.guard import Screened
from flyball.core.identity import Authority
from flyball.core.journal import Fence, Hold
from flyball.core.model import ModelRequest, OnDelta
from flyball.core.origin import Origins
from flyball.core.policy import Node, Uid
from flyball.core.policy_context import Facts
from flyball.core.route import Choice
from flyball.core.signature import Signature

TAINT = "taint:"


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt of an action acts on, and what it may cost."""

    resource: Uid
    entities: tuple[Node, ...]
    reserved: Amounts | None


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """What is noted of a result beside it: `facts` for its leaf (names and fixed states), `subjects` whose data it is
    besides the run's."""

    facts: Mapping[str, str] = {}
    subjects: tuple[str, ...] = ()


class Performer(msgspec.Struct, frozen=True, kw_only=True):
    """How an action is carried out: `perform(call, arguments)`, with its probe and precondition where it has them.

    `signature` parses the arguments and checks the result; None: the arguments are plain data, checked by the caller.
    `returns` is the type of a result that has no signature. `lasting`: an agent or flow, entered again after a crash.
    `reserved` is the greatest an attempt may cost beyond the action's own; None: unknown, so it is denied. `facts` go
    into the intent: what else it rests on that an operator wrote, by digest. `prompt` is what a model is asked, and
    `prompted` makes the call of another one: what guards left of it. `streaming` makes the `perform` that tells of its
    answer while it arrives, where a model does. `notes` says what is noted of a result. `ways` are the models that it
    may go to; `others`: where this one fails, there is another that was not asked yet.
    """

    perform: Callable[[Call, Any], Any]
    signature: Signature | None = None
    probe: Callable[[Call, Any], Awaitable[Any]] | None = None
    requires: Precondition | None = None
    functions: tuple[Callable[..., Any], ...] = ()
    reserved: Amounts | None = ZERO
    usage: Callable[[Any, int], Amounts] | None = None
    variant: Callable[[int], Variant] | None = None
    ways: Ways | None = None
    others: bool = False
    lasting: bool = False
    returns: Any = Any
    facts: Mapping[str, str] = {}
    prompt: ModelRequest | None = None
    prompted: Callable[[ModelRequest], tuple[Performer, Mapping[str, Any]]] | None = None
    streaming: Callable[[OnDelta], Callable[[Call, Any], Any]] | None = None
    notes: Callable[[Any], Notes] | None = None


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One of the ways that an attempt may go: the model that is asked, and how it is carried out there."""

    resource: Uid
    entities: tuple[Node, ...]
    performer: Performer


class Ways(Protocol):
    """The ways that one question to a model may go."""

    def listed(self, tenant: str) -> tuple[Choice, Mapping[str, str]]:
        """The candidates in order, nothing chosen yet; and why its rule leaves which of them out."""
        ...

    def way(self, name: str, /) -> Way:
        """One of them."""
        ...


class Precondition(msgspec.Struct, frozen=True, kw_only=True):
    """The read by which an action asks whether what it requires of the world is so, and how that is carried out: it
    gives None where it is so, else the reason why not."""

    action: Action
    performer: Performer


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a proposal stands: its run and step, whose fence and budgets, what the run did and was denied.

    `within` is the run that this one acts in (see `Flyball.act`); what taints the one taints the other. `log` is the
    random id of the log that it stands in; `signals` the run's latest scores, in ten-thousandths; `trace` the trace
    that the run's caller said (empty: the run's own).
    """

    tenant: str
    run: str
    path: str
    fence: Fence | None
    release: str
    subjects: tuple[str, ...]
    subject: str
    did: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    tainted: bool = False
    holds: tuple[Hold, ...] = ()
    left: Limit = UNLIMITED
    rejected: frozenset[str] = frozenset()
    within: str = ""
    log: str = ""
    trace: str = ""
    signals: Mapping[str, int] = {}

    @property
    def taints(self) -> tuple[str, ...]:
        """The epochs that say whether its runs are tainted."""
        return tuple(f"{TAINT}{run}" for run in (self.run, self.within) if run)


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One proposed action. `arguments` is plain JSON data.

    `given` are the arguments that were proposed, the others hold their default (None: all of `arguments`); `edited` are
    those a person changed, `typed` the normal forms of what they wrote there. `doubt` is an earlier attempt of which
    nobody knows whether it happened (0: none). `problem` is why the arguments that were proposed could not even be
    recorded: then there are none. `screened` is what guards said. `streams`: its answer may be shown while it arrives.
    `tried` are the models that earlier attempts asked, and `route` is the choice of the one that this attempt asks.
    """

    place: Place
    action: Action
    performer: Performer
    authority: Authority
    arguments: Mapping[str, Any]
    origins: Origins
    attempt: int = 1
    given: frozenset[str] | None = None
    edited: frozenset[str] = frozenset()
    typed: frozenset[str] = frozenset()
    resource: Uid | None = None
    entities: tuple[Node, ...] = ()
    extra: Mapping[str, Any] = {}
    labels: Mapping[str, str] = {}
    digest: str = ""
    asked: bool = False
    doubt: int = 0
    problem: str = ""
    screened: Screened | None = None
    streams: bool = False
    tried: tuple[str, ...] = ()
    route: Choice | None = None


def at_attempt(proposal: Proposal) -> Proposal:
    """The proposal as its attempt is made: with this variant's resource and reservation, where there are several."""
    variant = proposal.performer.variant
    if variant is None:
        return proposal
    v = variant(proposal.attempt)
    performer = replace(proposal.performer, reserved=v.reserved)
    return replace(proposal, performer=performer, resource=v.resource, entities=v.entities)


class Inputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a decision read besides the arguments and the policies: recorded, so that a replay decides again.

    `links` are the chain as uids, the principal first; `facts` is the policy context without input, origin, approvals,
    nulls and opaque; `approvals` the ones really given, by layer;
    `proposed` the digest of the arguments as they were proposed, by which a replay sees that the code now asks another
    thing; `trouble` (reason, detail) what denied it before any policy was asked; `escalated` the guards that want a
    person, with the group that decides.
    """

    action: str
    links: tuple[Uid, ...]
    resource: Uid
    entities: tuple[Node, ...]
    origins: Mapping[str, str]
    facts: Facts
    proposed: str = ""
    approvals: Mapping[str, tuple[str, ...]] = {}
    trouble: tuple[str, ...] = ()
    escalated: Mapping[str, str] = {}


class Ruled(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal with the verdict on it and everything the verdict read."""

    proposal: Proposal
    decision: Decision
    inputs: Inputs
    bundles: tuple[str, ...]
    fingerprints: Mapping[str, str]
    epochs: Mapping[str, int]
    shadow: tuple[str, ...] = ()
