"""An office in this process, where the project has no owner: with as much of the project as the command needs.

* `looking`: reads the journal beside whoever may own it, with the project's code where that is asked for. Nothing is
  written, signed or locked.
* `writing`: owns the journal for a moment. No code of the project is loaded and no run goes on by itself.
* `driving`: opens the project as a program does, but only runs that are asked for by name go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from flyball.app.control.office import Office
from flyball.app.custody import root_of
from flyball.app.flyball import Flyball
from flyball.app.plugs import adapter
from flyball.app.project import Project, collect, load
from flyball.app.wiring import Ports, plugged, wire
from flyball.core.config import Config
from flyball.core.errors import FlyballError
from flyball.core.journal import Answered, Append, Refused, Row
from flyball.core.merkle import Frontier
from flyball.ports.journal import View

R = TypeVar("R", bound=Row)


class LookedAt:
    """A journal that is only read, whoever owns it."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    async def append(self, append: Append) -> Answered:
        """Refuses."""
        return Refused(reason="read_only", detail="this process only reads")

    def view(self, tenant: str) -> View:
        """A snapshot to read from."""
        found: View = self._reader.view(tenant)
        return found

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        """One row by its id."""
        return self.view(tenant).row(kind, id)

    def tenants(self) -> list[str]:
        """The tenants that have a log."""
        found: list[str] = self._reader.tenants()
        return found

    def flaws(self) -> list[str]:
        """What does not fit together in the file."""
        found: list[str] = self._reader.flaws()
        return found

    async def close(self) -> None:
        """Ends every view."""
        self._reader.close()


class NoSigner:
    """Who only reads signs nothing."""

    def verifier_key(self) -> str:
        """Refuses."""
        raise _unsigned()

    def last(self, log: str) -> Frontier:
        """Refuses."""
        raise _unsigned()

    def logs(self) -> Mapping[str, str]:
        """Refuses."""
        raise _unsigned()

    def sign(self, log: str, origin: str, frontier: Frontier, leaves: Callable[[int, int], Sequence[bytes]]) -> str:
        """Refuses."""
        raise _unsigned()


def _unsigned() -> FlyballError:
    return FlyballError("not_owner", "this process only reads, and signs nothing")


def scripted(config: Config) -> tuple[str, ...]:
    """The configured models that play a script."""
    return tuple(sorted(name for name, model in config.models.items() if model.adapter == "scripted"))


def _bare(config: Config) -> tuple[Config, Project]:
    """The configuration without models and the project without code: records need neither."""
    records = msgspec.structs.replace(config, models={})
    return records, collect(config.project.name, config.directory, [])


def _existing(config: Config) -> Path:
    path = Path(config.journal.path)
    if not path.exists():
        raise FlyballError("journal_missing", "nothing has run in this project yet", f"there is no journal at {path}",
                           "flyball run WHAT INPUT")  # fmt: skip
    return path


@asynccontextmanager
async def looking(config: Config, *, code: bool = False) -> AsyncIterator[Office]:
    """An office that reads; with `code`, also what the project's code would do.

    Raises FlyballError `journal_missing` where nothing has run yet.
    """
    path = _existing(config)
    records, project = _bare(config)
    if code:
        records, project = config, load(config.project.name, Path(config.directory), config.project.modules)
    root = root_of(config, create=False)
    ports = Ports(
        journal=LookedAt(adapter("journal.reader")(path)), clock=adapter("clock")(), entropy=adapter("entropy")(),
        keyring=adapter("keyring.sqlite")(path.with_suffix(".keys"), root, create=False),
        signer=NoSigner(), engine=adapter("policy.cedar")(), models={},
        prices=adapter("prices")(config.prices.file),
    )  # fmt: skip
    try:
        yield Office.of(wire(records, project, ports), scripted=scripted(config), code=code)
    finally:
        await ports.journal.close()
        ports.keyring.close()


@asynccontextmanager
async def writing(config: Config, tenant: str) -> AsyncIterator[Office]:
    """An office that owns the journal for a moment. Raises FlyballError `journal_owned` where somebody else does."""
    records, project = _bare(config)
    async with plugged(records) as ports:
        rooms = wire(records, project, ports)
        rooms.driver.hold()
        try:
            for known in {*ports.journal.tenants(), tenant}:
                await rooms.ledger.open(known)
            rooms.policies.install(tenant)
            yield Office.of(rooms, scripted=scripted(config), code=False)
        finally:
            await rooms.driver.close()
            await rooms.memories.close()
            await rooms.ledger.close()


@asynccontextmanager
async def driving(config: Config) -> AsyncIterator[Office]:
    """An office with the project's code, which also serves other terminals. Raises as `Flyball.open` does."""
    project = load(config.project.name, Path(config.directory), config.project.modules)
    async with Flyball(config, project, drive=False) as app:
        yield app.office
