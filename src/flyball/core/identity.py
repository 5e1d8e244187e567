"""Who acts, for whom, in which tenant: the principal and the chain of authority behind a proposal.

A decision is the AND of one evaluation per link. A child's authority is its parent's and its own.
"""

from __future__ import annotations

import msgspec

from flyball.core.errors import FlyballError

MAX_CHAIN = 8


class Principal(msgspec.Struct, frozen=True):
    """A person or service that acts; with `agent`, an agent acting on somebody's behalf.

    `id` reads `kind:name` ("user:kim", "service:billing"); `assurance` says who vouches: "host" the embedding program,
    "key" a signature checked here, "os" the operating-system user (may start runs, not approve).
    """

    id: str
    tenant: str = "local"
    issuer: str = "host"
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    agent: str | None = None
    on_behalf_of: str | None = None
    assurance: str = "host"

    def __post_init__(self) -> None:
        for id in (self.id,) if self.on_behalf_of is None else (self.id, self.on_behalf_of):
            kind, _, name = id.partition(":")
            if not kind or not name or not id.isprintable() or id != id.strip():
                raise FlyballError("bad_principal", f"{id!r} is no principal", 'an id reads "user:kim"')
        if not self.tenant or "/" in self.tenant or self.tenant != self.tenant.strip():
            raise FlyballError("bad_tenant", f"{self.tenant!r} is no tenant name", "it is empty or has / or blanks")

    @property
    def kind(self) -> str:
        """What it is: "user", "service" and so on."""
        return self.id.partition(":")[0]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One agent between the principal and the call."""

    agent: str
    role: str


def authority_of(principal: Principal) -> Authority:
    """The chain that a principal comes with: an agent that acts on somebody's behalf is a link of its own."""
    chain = Authority(principal=principal)
    return chain if principal.agent is None else chain.through(principal.agent, "executor")


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """The chain: who asked, and each agent between them and the call, outermost first."""

    principal: Principal
    links: tuple[Link, ...] = ()

    def through(self, agent: str, role: str) -> Authority:
        """The chain with one more agent; refuses one longer than MAX_CHAIN."""
        if len(self.links) >= MAX_CHAIN:
            raise FlyballError("chain_too_long", f"more than {MAX_CHAIN} agents stand between a person and this call")
        return Authority(principal=self.principal, links=(*self.links, Link(agent=agent, role=role)))
