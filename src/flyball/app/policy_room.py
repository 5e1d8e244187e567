"""The policies of an open project: what is in force, what is on disk, and putting the one in the place of the other.

Changing policy is an action of the gate (GATE section 2): the bundle's cases pass, the built-in permit asks for a
person in the group `admin`, forbids apply, the verdict's epochs ride in the append, and what was refused is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from flyball.app.cases import failing
from flyball.app.comparing import Changes, compare
from flyball.app.explaining import Explained, explain_record
from flyball.app.moving import kept_notices
from flyball.app.opening import enter
from flyball.app.wiring import Rooms, sources
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.identity import Authority, Principal
from flyball.core.origin import Origins
from flyball.core.policy import Bundle, Node, PolicyError, Source, Uid
from flyball.core.proposal import Performer, Place, Proposal, Ruled
from flyball.core.record import NO_RUN, Event
from flyball.core.result import Blocked
from flyball.ports.policy import Compiled
from flyball.runtime.policies import Warrant, text_digest

ACTIVATE = Action(name="activate", kind="policy", effect="reversible", egress=False)
LAST = 200


class Activated(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that is in force now: its layer and digest, and what recorded decisions it would have made otherwise."""

    layer: str
    digest: str
    changes: Changes


class PolicyRoom:
    """The policies in force, and those on disk."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def in_force(self, *, tenant: str = "local") -> dict[str, str]:
        """The digest of the active bundle of each layer."""
        return {row.id: row.digest for row in self._rooms.policies.in_force(tenant)}

    def bundles(self, *, tenant: str = "local") -> list[dict[str, Any]]:
        """Every active bundle with its policies by id, and what each asks for. `activated` in microseconds."""
        rows = self._rooms.policies.in_force(tenant)
        return [{
            "layer": row.id, "name": row.name, "digest": row.digest, "activated": row.activated,
            "policies": policies_of(self._rooms.policies.load(tenant, row.digest).bundle),
        } for row in rows]  # fmt: skip

    def schema(self) -> str:
        """The schema that policies are checked against."""
        return self._rooms.policies.schema()

    def explain(self, target: str, *, tenant: str = "local") -> list[Explained]:
        """Why the verdicts of a record, or of a whole run, are what they are; raises `unknown_record`."""
        return explain_record(self._rooms, tenant, target)

    def notices(self, *, tenant: str = "local") -> list[str]:
        """What every surface says: policies on disk that are not in force, runs that are kept for review."""
        return [*disk_notices(self._rooms, tenant), *kept_notices(self._rooms, tenant)]

    # activating ------------------------------------------------------------------------------------------------------
    async def activate(self, digest: str = "", *, by: Principal) -> list[Activated]:
        """Puts bundles on disk in force: the one that `digest` (or its beginning) names, or all that changed.

        Raises PolicyError, `policy_cases_failed`, `unknown_bundle`, `not_eligible` or `policy_denied`.
        """
        rooms, tenant = self._rooms, by.tenant
        await enter(rooms, tenant)
        done = []
        for source, compiled in self._changed(tenant, digest):
            bad = failing(rooms, compiled, source, rooms.policies.loaded(tenant))
            if bad:
                raise cases_failed(bad)
            warrant = await self._warrant(by, compiled.bundle)
            changes = compare(rooms, tenant, compiled, LAST)
            await rooms.policies.activate(tenant, compiled, by, warrant)
            done.append(Activated(layer=compiled.bundle.layer, digest=compiled.bundle.digest, changes=changes))
        return done

    def compare(self, *, tenant: str = "local", last: int = LAST) -> list[Changes]:
        """What the bundles on disk would decide otherwise than those in force, over the last recorded decisions."""
        return [compare(self._rooms, tenant, compiled, last) for _, compiled in self._changed(tenant, "")]

    def _changed(self, tenant: str, digest: str) -> Sequence[tuple[Source, Compiled]]:
        active = self.in_force(tenant=tenant)
        found = [(source, self._rooms.policies.check(source)) for source in sources(self._rooms.config)]
        named = [(s, c) for s, c in found if c.bundle.digest.startswith(digest)] if digest else found
        if not named:
            there = ", ".join(f"{c.bundle.layer} {c.bundle.digest[:12]}" for _, c in found)
            raise FlyballError("unknown_bundle", f"no bundle on disk is {digest}", f"there is {there}",
                               "flyball policy check shows the digests.")  # fmt: skip
        return [(s, c) for s, c in named if active.get(c.bundle.layer) != c.bundle.digest]

    async def _warrant(self, by: Principal, bundle: Bundle) -> Warrant:
        if by.assurance == "os":
            raise FlyballError(
                "not_eligible", f"{by.id} may not activate policies",
                "the operating-system user alone may start runs, not change what they may do",
                "Act with the key of somebody in the group admin: export FLYBALL_KEY=FILE",
            )  # fmt: skip
        proposal = _proposal(by, bundle)
        objection = self._rooms.stations.identify.objection(proposal)
        if objection is not None:
            raise objection
        ruled = await self._rooms.enforce.rule(proposal)
        facts = {"bundles": list(ruled.bundles), "policies": list(ruled.decision.determining)}
        request = msgspec.to_builtins(ruled.inputs)
        if ruled.decision.outcome != "allow":
            await self._refused(by, bundle, ruled, facts, request)
            raise _denied(by, bundle, ruled)
        # The epoch of a run's taint is no matter here: there is no run.
        epochs = {name: value for name, value in ruled.epochs.items() if not name.startswith("taint:")}
        return Warrant(facts=facts, request=request, epochs=epochs)

    async def _refused(
        self, by: Principal, bundle: Bundle, ruled: Ruled, facts: Mapping[str, Any], request: Any
    ) -> None:
        record = self._rooms.record
        event = Event(
            kind="decision", run=NO_RUN, path=f"activate:{bundle.digest[:16]}:{record.clock.now()}", subjects=(by.id,),
            facts={
                "action": "activate", "action_kind": "policy", "effect": "reversible", "schema": "", "cures": [],
                "modifiers": [], "outcome": "deny", "reason": "policy_denied", "by": record.person(by.tenant, by.id),
                "chain": [], "release": "", "digest": bundle.digest, **facts,
            },
            private={"args": {}, "request": request},
        )  # fmt: skip
        await record.write(by.tenant, event)


def _proposal(by: Principal, bundle: Bundle) -> Proposal:
    uid = Uid("Bundle", bundle.digest)
    place = Place(tenant=by.tenant, run=NO_RUN, path="", fence=None, release="", subjects=(), subject="")
    return Proposal(
        place=place, action=ACTIVATE, performer=Performer(perform=lambda *_: None), authority=Authority(principal=by),
        arguments={}, origins=Origins(), resource=uid, entities=(Node(uid=uid, attrs={"layer": bundle.layer}),),
    )  # fmt: skip


def _denied(by: Principal, bundle: Bundle, ruled: Ruled) -> Blocked:
    decision = ruled.decision
    admin = "admin" in by.groups
    return Blocked(
        "policy_denied", policies=decision.determining, what=f"{by.id} may not activate bundle {bundle.digest[:12]}",
        why="; ".join((decision.reason, *decision.errors, *decision.determining)),
        fix="" if admin else "Act with the key of somebody in the group admin.",
    )  # fmt: skip


def cases_failed(bad: Sequence[str]) -> FlyballError:
    """The error of a bundle whose cases fail."""
    count = f"{len(bad)} policy cases fail" if len(bad) != 1 else "a policy case fails"
    return FlyballError("policy_cases_failed", count, "; ".join(bad[:3]), "flyball policy test", {"cases": list(bad)})


def policies_of(bundle: Bundle) -> list[dict[str, Any]]:
    """The policies of a bundle in order: id, what it asks for or changes, its reason, whether it is in shadow."""
    return [{
        "id": id, "asks": bundle.cures[id].approval if id in bundle.cures else "",
        "modifies": _modifier(bundle, id), "reason": bundle.reasons.get(id, ""), "shadow": id in bundle.shadow,
    } for id in bundle.ids]  # fmt: skip


def _modifier(bundle: Bundle, id: str) -> str:
    modifier = bundle.cures[id].modifier if id in bundle.cures else None
    return f"{modifier.name}:{modifier.pointer}" if modifier is not None else ""


# what is on disk ------------------------------------------------------------------------------------------------------
def disk_notices(rooms: Rooms, tenant: str) -> list[str]:
    """What is on disk and not in force, in words; empty where there is nothing to say.

    What the active bundle was made of is not compiled again. Without the project's code nothing can be compiled: then
    only the texts are compared.
    """
    active = {row.id: row.digest for row in rooms.policies.in_force(tenant)}
    found = []
    try:
        there = sources(rooms.config)
    except PolicyError as bad:
        return [f"the policies on disk are refused ({str(bad).splitlines()[0]}); what is in force stays in force"]
    except (FlyballError, OSError):  # nothing on disk to speak of: what is in force stays in force
        return []
    for source in there:
        digest = active.get(source.layer)
        text, tools = rooms.policies.made_of(tenant, source.layer)
        code = bool(rooms.project.modules)
        if digest is None or (text == text_digest(source) and (not code or tools == rooms.policies.tools_digest())):
            continue
        told = f"the {source.layer} policies on disk are not those in force ({digest[:12]})"
        if code:
            told = _compiled_notice(rooms, tenant, source, digest) or ""
        if told:
            found.append(f"{told}: flyball policy activate")
    return found


def _compiled_notice(rooms: Rooms, tenant: str, source: Source, digest: str) -> str | None:
    try:
        on_disk = rooms.policies.look(source).bundle.digest
    except FlyballError as bad:
        first = str(bad).splitlines()[0]
        return f"the {source.layer} policies on disk are refused ({first}); {digest[:12]} stays in force"
    if on_disk == digest:
        return None
    what = "policies on disk" if rooms.policies.made_of(tenant, source.layer)[0] != text_digest(source) else "tools"
    new = f"the {source.layer} bundle is another one now ({on_disk[:12]}), because the {what} changed"
    return f"{new}; in force is {digest[:12]}"
