"""Decide: what the gate would say to a proposal that nobody makes. Nothing is executed and nothing is recorded.

The arguments pass the same validation, the entity that they name is loaded by the same loader, and the same policies
decide. What a run would have found out beforehand is said outright: origins, what was denied before, approvals given.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from flyball.app.cases import because, groups
from flyball.app.project import Project
from flyball.app.wiring import Rooms
from flyball.core.entity import Entity
from flyball.core.errors import FlyballError
from flyball.core.identity import Authority, Principal
from flyball.core.origin import Origins
from flyball.core.proposal import Performer, Place, Proposal, Ruled
from flyball.core.result import Blocked
from flyball.ports.policy import Compiled
from flyball.runtime.enforce import Enforce, layers_of
from flyball.runtime.flow.bind import tool_performer
from flyball.runtime.label import label

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says: allow, modify, require_approval or deny; who would have to agree (`groups`), which policies
    say so (`because`), the arguments as they would run, and the reason code of a denial."""

    outcome: str
    groups: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A proposal that nobody makes. `origins` are those of the arguments that are not unknown; `through` the agents
    between `by` and the call; `approvals` groups that have agreed; `denied` what the run was denied before."""

    tool: str
    arguments: Mapping[str, Any]
    by: Principal
    origins: Mapping[str, str] = field(default_factory=dict)
    through: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    denied: frozenset[str] = frozenset()


async def decided(rooms: Rooms, force: tuple[Compiled, ...], question: Question) -> Verdict:
    """The verdict of these bundles."""
    proposal = _proposal(rooms.project, question)
    parsed = rooms.stations.validate.parse(proposal)
    if isinstance(parsed, Blocked):
        return Verdict(outcome="deny", reason=parsed.reason, arguments=question.arguments, errors=(str(parsed),))
    labelled = label(parsed)
    labelled = replace(labelled, labels={**labelled.labels, **question.origins})
    enforce = _enforce(rooms, question)
    enforce.activate(question.by.tenant, layers_of(force))
    return _verdict(await enforce.rule(labelled))


def _proposal(project: Project, q: Question) -> Proposal:
    tool = project.tool(q.tool)
    authority = Authority(principal=q.by)
    for name in q.through:
        if name not in project.agents:
            raise FlyballError("unknown_agent", f"there is no agent {name!r}", fix=", ".join(sorted(project.agents)))
        authority = authority.through(name, project.agents[name].role)
    place = Place(
        tenant=q.by.tenant, run="nobody", path="1", fence=None, release="", subjects=(), subject="", denied=q.denied
    )
    return Proposal(
        place=place, action=tool.action, performer=tool_performer(tool), authority=authority, arguments=q.arguments,
        origins=Origins(),
    )  # fmt: skip


def _enforce(rooms: Rooms, q: Question) -> Enforce:
    async def load(proposal: Proposal, kind: str, name: str) -> Entity:
        if kind not in rooms.project.entities:
            raise FlyballError("unknown_entity", f"no @entity loads {kind}", fix=f'@entity("{kind}") in a module')
        function = rooms.project.entities[kind].function
        performer = Performer(perform=function, functions=(function,))
        return await rooms.stations.broker.read(replace(proposal, performer=performer), name)  # type: ignore[no-any-return]

    def given(_: Proposal) -> Mapping[str, tuple[str, ...]]:
        return {"project": q.approvals} if q.approvals else {}

    return Enforce(rooms.ports.journal, rooms.ports.clock, load, given)


def _verdict(ruled: Ruled) -> Verdict:
    decision = ruled.decision
    return Verdict(
        outcome=decision.outcome, groups=groups(decision), because=because(decision), arguments=decision.arguments,
        reason=decision.reason, errors=tuple(decision.errors),
    )  # fmt: skip


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of async work, for a test that is not async: here, or beside a loop that runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(work)
    found: list[T] = []
    failed: list[BaseException] = []

    def beside() -> None:
        try:
            found.append(_run(work))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            failed.append(error)

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def _run(work: Coroutine[Any, Any, T]) -> T:
    # With a factory the runner does not touch the loop that pytest or the host keeps for this thread.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)
