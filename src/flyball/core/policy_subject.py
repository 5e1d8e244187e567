"""Who asks and what is acted on, as entities: the one place where a principal or an action becomes a Cedar-style uid.

Rules:

* An id is the subject's own name, never formatted text. A tenant is bound to one issuer and a decision is made within
  one tenant, so a subject is unique there; tenant and issuer are attributes.
* Each link of the chain is evaluated on its own: first the person or service, then every agent.
* The resource is what the `Ref` argument names, else the tool, model, agent or flow itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.identity import Authority, Link, Principal
from flyball.core.input_shape import InputShape
from flyball.core.policy import Node, Uid

_PRINCIPALS: Final[Mapping[str, str]] = {"user": "User", "service": "Service"}
_RESOURCES: Final[Mapping[str, str]] = {
    "tool": "Tool", "model": "Model", "stream": "Model", "context": "Source", "agent": "Agent", "handoff": "Agent",
    "flow": "Flow", "approve": "Approval", "policy": "Bundle", "recall": "Memory", "remember": "Memory",
    "forget": "Memory",
}  # fmt: skip


def principal_uid(principal: Principal) -> Uid:
    """`user:kim` as User kim; raises FlyballError for a kind that policy has no type for."""
    kind, _, name = principal.id.partition(":")
    if kind not in _PRINCIPALS:
        raise FlyballError("bad_principal", f"{principal.id!r} is neither a user nor a service")
    return Uid(_PRINCIPALS[kind], name)


def principal_nodes(principal: Principal) -> tuple[Node, ...]:
    """A person or service with tenant and groups: everything that hierarchy conditions can reach."""
    tenant = Uid("Tenant", principal.tenant)
    groups = tuple(Uid("Group", name) for name in sorted(principal.groups))
    attrs: dict[str, Any] = {
        "tenant": principal.tenant, "issuer": principal.issuer, "assurance": principal.assurance,
        "scopes": sorted(principal.scopes),
    }  # fmt: skip
    if principal.on_behalf_of is not None:
        attrs["on_behalf_of"] = principal.on_behalf_of
    first = Node(uid=principal_uid(principal), attrs=attrs, parents=(tenant, *groups))
    return first, Node(uid=tenant), *(Node(uid=group) for group in groups)


def agent_nodes(link: Link, principal: Principal) -> tuple[Node, ...]:
    """An agent of the chain with its role and the one it acts for."""
    tenant, role = Uid("Tenant", principal.tenant), Uid("Role", link.role)
    attrs = {"tenant": principal.tenant, "role": link.role, "on_behalf_of": principal_uid(principal).id}
    return Node(uid=Uid("Agent", link.agent), attrs=attrs, parents=(tenant, role)), Node(uid=tenant), Node(uid=role)


@lru_cache(maxsize=1024)  # a chain asks for many actions
def chain(authority: Authority) -> tuple[tuple[Node, ...], ...]:
    """One entity slice per link; the first node of each is that evaluation's principal."""
    agents = (agent_nodes(link, authority.principal) for link in authority.links)
    return principal_nodes(authority.principal), *agents


def resource_uid(action: Action, shape: InputShape, arguments: Mapping[str, Any], name: str | None = None) -> Uid:
    """What is acted on. `name` names it where the action's own name does not: a model, an approval, a bundle."""
    named = arguments.get(shape.ref) if shape.ref else None
    if shape.entity and named is not None:
        return Uid(shape.entity, str(named))
    return Uid(_RESOURCES[action.kind], name or action.name)


@lru_cache(maxsize=4096)
def entities_of(authority: Authority, resource: Uid) -> tuple[Node, ...]:
    """The slice of a chain that acts on what nothing had to be loaded for: the very same tuple for the same question,
    so that an engine may know it again."""
    return merged(*chain(authority), (Node(uid=resource),))


def merged(*slices: tuple[Node, ...]) -> tuple[Node, ...]:
    """Slices as one, each entity once; the first one that names an entity describes it."""
    nodes: dict[Uid, Node] = {}
    for node in (n for part in slices for n in part):
        nodes.setdefault(node.uid, node)
    return tuple(nodes.values())
