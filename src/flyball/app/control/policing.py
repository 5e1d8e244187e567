"""Commands about policies and releases: what is in force, why a verdict is so, activating, replaying, moving."""

from __future__ import annotations

from typing import Any

import msgspec

from flyball.app.control.callers import Caller
from flyball.app.control.office import Office
from flyball.app.control.reading import Nothing, OneRun


class Activate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle on disk by its digest or the beginning of it; empty: all that changed."""

    digest: str = ""


class Explain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record by its id, a step as RUN/PATH, or a run."""

    target: str


async def policies(office: Office, caller: Caller, _: Nothing) -> dict[str, Any]:
    """Every active bundle with its policies, and what on disk is not in force."""
    tenant = caller.by.tenant
    return {"bundles": office.policies.bundles(tenant=tenant), "disk": office.policies.notices(tenant=tenant)}


async def activate(office: Office, caller: Caller, wanted: Activate) -> dict[str, Any]:
    """Puts bundles on disk in force."""
    return {"activated": msgspec.to_builtins(await office.policies.activate(wanted.digest, by=caller.by))}


async def compare(office: Office, caller: Caller, _: Nothing) -> dict[str, Any]:
    """What the bundles on disk would decide otherwise than those in force."""
    return {"changes": msgspec.to_builtins(office.policies.compare(tenant=caller.by.tenant))}


async def explain(office: Office, caller: Caller, wanted: Explain) -> dict[str, Any]:
    """Why recorded verdicts are what they are."""
    return {"explained": msgspec.to_builtins(office.policies.explain(wanted.target, tenant=caller.by.tenant))}


async def replay(office: Office, caller: Caller, wanted: OneRun) -> dict[str, Any]:
    """Derives a run's verdicts again and folds its code over its log."""
    replayed = await office.releases.replay(wanted.run, tenant=caller.by.tenant)
    told: dict[str, Any] = msgspec.to_builtins(replayed)
    return {**told, "ok": replayed.ok, "words": [str(d) for d in replayed.differences]}


async def check(office: Office, caller: Caller, wanted: OneRun) -> dict[str, Any]:
    """What the loaded code would do otherwise than a run's log says."""
    checked = await office.releases.check(wanted.run, tenant=caller.by.tenant)
    told: dict[str, Any] = msgspec.to_builtins(checked)
    return {**told, "equal": checked.equal, "words": [str(d) for d in checked.differences]}


async def move(office: Office, caller: Caller, wanted: OneRun) -> dict[str, Any]:
    """Sets a run on the loaded release, where that comes to the same."""
    checked = await office.releases.move(wanted.run, by=caller.by)
    return {"run": wanted.run, "release": checked.release, "loaded": checked.loaded}
