"""The words between the gate and a policy engine: what is asked, what is answered, what would cure a refusal.

A *bundle* is a compiled, content-addressed policy set of one layer. A *request* is one evaluation for one link of the
authority chain. Determining policies and cures are named `layer/id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from flyball.core.errors import FlyballError

Layer = Literal["platform", "tenant", "project"]
LAYERS: Final[tuple[Layer, ...]] = ("platform", "tenant", "project")
Outcome = Literal["allow", "modify", "require_approval", "deny"]
# Beside the entity types, where policies are compiled: the guards that they may read. No entity type can be called so.
GUARDS: Final = "guard"
SIGNALS: Final = "signals"
ModifierName = Literal["drop", "mask", "clamp", "truncate", "replace_const"]


class Uid(msgspec.Struct, frozen=True, order=True):
    """A structured entity uid, never formatted text."""

    type: str
    id: str


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entity of the slice a decision read: attributes, parents, and how fresh its source said it was."""

    uid: Uid
    attrs: Mapping[str, Any] = {}
    parents: tuple[Uid, ...] = ()
    as_of: int | None = None


class Modifier(msgspec.Struct, frozen=True, kw_only=True):
    """A pure, narrowing change of the arguments at a JSON pointer; `value` is the bound, length or constant."""

    name: ModifierName
    pointer: str
    value: Any = None


class Cure(msgspec.Struct, frozen=True, kw_only=True):
    """What would lift one forbid: a modifier, or the approval of `people` members of `group`."""

    policy: str
    layer: Layer
    group: str = ""
    people: int = 1
    modifier: Modifier | None = None
    reason: str = ""

    @property
    def approval(self) -> str:
        """What `context.approvals` must contain in this cure's layer; empty for a modifier."""
        return "" if self.modifier else self.group if self.people == 1 else f"{self.group}:{self.people}"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation. `approvals` are the layer's; `context` holds everything else the policies may read.

    `action` is what `policy_subject.action_word` says, `context` what `policy_context.policy_context` makes, `entities`
    the principal, the resource and all their ancestors: one that is missing is an error, never an empty entity.
    """

    principal: Uid
    action: str
    resource: Uid
    context: Mapping[str, Any]
    entities: tuple[Node, ...]
    approvals: frozenset[str] = frozenset()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer says of one request. Any error is a refusal, whatever `allow` says."""

    allow: bool
    determining: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a policy source: where, what, and what may have been meant."""

    where: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}." + (f" {self.fix}" if self.fix else "")


class PolicyError(FlyballError):
    """Policies that are refused, with every finding. Its text is one line per finding."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        found = tuple(findings)
        super().__init__("policy_refused", "the policies are refused", "; ".join(map(str, found)))
        self.findings = found

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The policy texts of one layer, by file name. `shadow`: evaluated and recorded as a whole, never enforced."""

    layer: Layer
    name: str
    files: Mapping[str, str]
    shadow: bool = False


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A checked policy set: its digest and canonical form, ids with their cures and annotations.

    `content` is what the log keeps by digest: policies in the engine's JSON form under our ids, plus the generated
    schema. The engine can `load` it again later, so that a replay evaluates what was in force.
    """

    layer: Layer
    name: str
    digest: str
    content: bytes
    ids: tuple[str, ...]
    cures: Mapping[str, Cure]
    reasons: Mapping[str, str] = {}
    shadow: frozenset[str] = frozenset()
    fingerprints: Mapping[str, str] = {}

    @property
    def enforced(self) -> bool:
        """Does this bundle take part in decisions? One that is wholly in shadow abstains, as an absent layer does."""
        return not set(self.ids) <= self.shadow
