"""Opening and closing a project, in order: journal, log, signer check, policies, release, recovery; and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import lru_cache
from typing import Any

from flyball.app.cases import failing
from flyball.app.moving import settle
from flyball.app.project import Project
from flyball.app.release import Release, commit_of, release_of
from flyball.app.telemetry import telemetry_of
from flyball.app.wiring import Ports, Rooms, layers, plugged, sources, wire
from flyball.core.call import Use
from flyball.core.config import Config
from flyball.core.errors import FlyballError
from flyball.core.journal import BlobRow
from flyball.core.record import Event


@asynccontextmanager
async def opened(
    config: Config, project: Project, ports: Ports | None = None, uses: Sequence[Use[Any]] = (), *, drive: bool = True
) -> AsyncIterator[Rooms]:
    """The wired rooms of an open project. Ports that were handed in are left open for their owner.

    Without `drive` nothing that is due is taken up: only runs that are asked for by name go on.
    """
    async with plugged(config) if ports is None else nullcontext(ports) as found:
        rooms = wire(config, project, found, uses)
        telemetry = telemetry_of(rooms)
        if not drive:
            rooms.driver.hold()
        try:
            await begin(rooms, drive=drive)
            telemetry.start()
            yield rooms
        finally:
            await rooms.driver.close()
            await rooms.stations.broker.close()
            await rooms.resources.close()
            await rooms.models.close()
            await rooms.memories.close()
            if rooms.guards is not None:
                await rooms.guards.close()
            await rooms.ledger.close()
            await telemetry.close()


async def begin(rooms: Rooms, *, drive: bool = True) -> None:
    """Every known tenant is checked against its signer before anything of it is recovered."""
    release = release_of(rooms)
    known = list(rooms.ports.journal.tenants())
    # A log that was signed and is gone is refused as one that was cut is.
    for tenant in sorted({*known, *rooms.ledger.signed()}):
        await rooms.ledger.open(tenant)
        # A clock set back while nobody ran must not order new records before old ones, nor revive what has expired.
        rooms.ports.clock.begin_at(rooms.ports.journal.view(tenant).latest())
    for tenant in known:
        await enter(rooms, tenant, release)
        await settle(rooms, tenant)
        if drive:
            await rooms.driver.resume_all(tenant)


async def enter(rooms: Rooms, tenant: str, release: Release | None = None) -> None:
    """Makes a tenant ready: its log, the policies in force, the release."""
    await rooms.ledger.open(tenant)
    await _policies(rooms, tenant)
    await _release(rooms, tenant, release or release_of(rooms))


async def _policies(rooms: Rooms, tenant: str) -> None:
    """The bundle on disk is activated once, after its tests; a bundle that changed since needs `policy activate`."""
    active = {row.id for row in rooms.policies.in_force(tenant)}
    # What is in force needs nothing of what is on disk, which may not even be readable.
    missing = layers(rooms.config) - active
    for source in sources(rooms.config) if missing else ():
        if source.layer not in missing:
            continue
        compiled = rooms.policies.look(source)
        bad = failing(rooms, compiled, source, rooms.policies.loaded(tenant))
        if bad:
            raise FlyballError(
                "policy_cases_failed", f"{len(bad)} policy cases fail", "; ".join(bad[:3]), "flyball policy test"
            )
        await rooms.policies.activate(tenant, compiled, None)
    rooms.policies.install(tenant)


async def _release(rooms: Rooms, tenant: str, release: Release) -> None:
    view = rooms.ports.journal.view(tenant)
    if view.row(BlobRow, release.digest) is not None:
        return
    checkout = await asyncio.to_thread(_checkout, rooms.project.directory, release.digest)
    facts = {"digest": release.digest, "parts": release.names, **checkout}
    event = Event(kind="release_loaded", path=release.digest, facts=facts)
    rows = [BlobRow(id=digest, content=content) for digest, content in release.parts.items()]
    await rooms.record.write(tenant, event, put=tuple(rows))


@lru_cache(maxsize=64)
def _checkout(directory: str, _release: str) -> dict[str, Any]:
    # The code of one release came from one checkout: asked once, not once for every tenant.
    return commit_of(directory)
