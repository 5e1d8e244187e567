"""Where a memory is written or read: what it needs of the run that asks, and whose memories those are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.memory import Scope
from flyball.ports.recording import Recording


class Scene(Protocol):
    """What is known of a run at one of its branches. `subjects` are names; `source` says who writes there."""

    @property
    def tenant(self) -> str:
        """The run's tenant."""
        ...

    @property
    def principal(self) -> Principal:
        """Who the run acts for."""
        ...

    @property
    def session(self) -> str:
        """The run's session; empty where it has none."""
        ...

    @property
    def agent(self) -> str:
        """The agent that acts there; empty in a flow."""
        ...

    @property
    def source(self) -> str:
        """Who writes: `agent NAME` or `flow NAME`."""
        ...

    @property
    def subjects(self) -> Sequence[str]:
        """Whose data the run is about."""
        ...

    @property
    def sensitivity(self) -> str:
        """The label of the most sensitive thing that the run has read."""
        ...

    def tainted(self) -> bool:
        """Has the run, or the one that it acts within, read what nobody vouches for?"""
        ...

    def origin(self, value: Any) -> str:
        """Where a value came from."""
        ...


def owner_of(record: Recording, scene: Scene, scope: Scope) -> str:
    """The pseudonym of whose memories of a scope those are; raises FlyballError `no_scope` where there are none."""
    return owner(record, scene.tenant, scope, scene.principal, agent=scene.agent, session=scene.session)


def owner(
    record: Recording, tenant: str, scope: Scope, principal: Principal, *, agent: str = "", session: str = ""
) -> str:
    """The pseudonym of an owner. A person's is of no use to anybody who acts for another one."""
    person = (principal.issuer, principal.id, principal.on_behalf_of or "")
    parts: dict[str, tuple[str, ...]] = {
        "user": person, "session": (*person, session), "agent": (agent,), "tenant": (),
    }  # fmt: skip
    lacking = {"session": not session, "agent": not agent}.get(scope)
    if lacking:
        fix = {"session": "start the run with session=NAME", "agent": "remember it in the agent's own flow of work"}
        why = f"nobody's memory would be scope={scope!r}"
        raise FlyballError("no_scope", f"there is no {scope} here", why, fix[scope])
    return record.person(tenant, "\0".join(("memory", scope, *parts[scope])))


def writer(record: Recording, tenant: str, principal: Principal) -> str:
    """The pseudonym under which is counted how much somebody keeps."""
    return owner(record, tenant, "user", principal)
