"""A small project with one tool of each kind, and short ways to compile policies for it and to ask them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from flyball.adapters.policy_cedar.compiled import CedarCompiled
from flyball.adapters.policy_cedar.engine import CedarEngine
from flyball.core.call import Call
from flyball.core.effect import Action
from flyball.core.identity import Principal
from flyball.core.input_shape import input_shape
from flyball.core.marks import Critical, Outgoing, Ref
from flyball.core.policy import Finding, Node, PolicyError, Request, Source, Uid
from flyball.core.policy_context import Facts, policy_context
from flyball.core.policy_subject import merged, principal_nodes, resource_uid
from flyball.core.tool import tool


@dataclass(frozen=True)
class Person:
    name: str
    ssn: str | None = None
    share: Decimal = Decimal(0)


@tool(effect="irreversible", egress=True)
def send(call: Call, to: Critical[str], subject: str, body: Outgoing[str] = "", discount: int = 0) -> None: ...


@tool(effect="reversible")
def save(
    call: Call, person: Person, amount: int, rate: float = 0, note: str = "", tags: list[str] | None = None
) -> None: ...


@tool(effect="read")
def look(call: Call, customer: Annotated[str, Ref("Customer")], deep: bool = False) -> None: ...


ACTIONS: dict[str, Action] = {t.name: t.action for t in (send, save, look)}
ENTITIES: dict[str, dict[str, object]] = {
    "Customer": {"tier": "string", "limit": "number", "owner?": "entity:User", "marks?": "string[]"},
    "Region": {},
}
SENT = {"to": "ada@acme.example", "subject": "s", "body": "b", "discount": 0}
SAVED = {"person": {"name": "Ada", "ssn": None, "share": "0.5"}, "amount": 1, "rate": 0.0, "note": "", "tags": None}
PERMIT = '@id("all") permit (principal, action, resource);'
KIM = Principal("user:kim", tenant="acme", groups=frozenset({"staff"}))


def compiled(*policies: str, permit: bool = True) -> CedarCompiled:
    text = "\n".join([*policies, *([PERMIT] if permit else [])])
    return CedarEngine().compile(
        Source(layer="project", name="desk", files={"desk.cedar": text}), list(ACTIONS.values()), ENTITIES
    )


def refused(*policies: str) -> tuple[Finding, ...]:
    with pytest.raises(PolicyError) as bad:
        compiled(*policies)
    return bad.value.findings


def asking(
    tool: str, arguments: Mapping[str, Any] = SENT, *, by: Principal = KIM, nodes: tuple[Node, ...] = (), **facts: Any
) -> Request:
    """A request as the gate makes it; `nodes` describes the business object and its parents."""
    action = ACTIONS[tool]
    shape = input_shape(action)
    resource = resource_uid(action, shape, arguments)
    slice_ = merged(principal_nodes(by), nodes, () if nodes else (Node(uid=resource),))
    return Request(
        principal=slice_[0].uid, action=shape.action, resource=resource, entities=slice_,
        context=policy_context(shape, arguments, Facts(**facts)),
    )  # fmt: skip


def customer(name: str = "c1", *parents: Uid, **attrs: Any) -> Node:
    return Node(uid=Uid("Customer", name), attrs={"tier": "gold", "limit": 10, **attrs}, parents=parents)


def with_approvals(request: Request, *approvals: str) -> Request:
    return msgspec.structs.replace(request, approvals=frozenset(approvals))


def with_context(request: Request, **changed: Any) -> Request:
    return msgspec.structs.replace(request, context={**request.context, **changed})
