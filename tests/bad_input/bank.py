"""A bank for tests of bad input: its books count what really happened, apart from what the log says."""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from flyball import Call, Critical, Flyball, Key, NotDone, Principal, Retry, Run, Tenant, flow, resource, tool
from flyball.app.plugs import adapter
from flyball.app.project import Project, collect
from flyball.app.wiring import Ports
from flyball.core.config import Config, Input
from flyball.ports.clock import Clock, Jump
from flyball.testing import Lab
from flyball.testing.engine import cedar

KIM = Principal("user:kim", groups=frozenset({"desk"}))
FAY = Principal("user:fay", groups=frozenset({"finance", "owner"}))
NOOR = Principal("user:noor", groups=frozenset({"finance"}))
OLA = Principal("user:ola", groups=frozenset({"owner"}))
PERMIT = '@id("all") permit (principal, action, resource);\n'
POLICY = (
    PERMIT
    + """
@id("much-asks-finance") @require_approval("finance") @reason("much")
forbid (principal, action == Action::"pay", resource)
when { context.input.cents > 100 } unless { context.approvals.contains("finance") };
"""
)
SOON = timedelta(milliseconds=50)
ONCE = Retry(attempts=1)


class Books:
    """What happened. `will` is what the next calls do: an exception is raised, a function called, a value given."""

    def __init__(self, *will: Any) -> None:
        self.will = deque(will)
        self.calls: list[str] = []
        self.paid: list[dict[str, Any]] = []
        self.keys: set[str] = set()

    async def happen(self, name: str, call: Call, given: Any = "done") -> Any:
        self.calls.append(name)
        does = self.will.popleft() if self.will else given
        if callable(does):
            does = does()
            does = await does if inspect.isawaitable(does) else does
        if isinstance(does, BaseException):
            raise does
        self.keys.add(call.key)
        return does


@resource()
async def books(tenant: Tenant) -> AsyncIterator[Books]:
    yield Books()


@tool(effect="irreversible", retry=ONCE)
async def pay(
    call: Call, cents: Critical[int], to: str = "acme", note: str | None = None, rate: float | None = 1.0,
    tags: dict[str, Any] | None = None,
) -> str:  # fmt: skip
    """Pay out."""
    made = {"cents": cents, "to": to, "note": note, "rate": rate, "tags": tags}
    call.get(books).paid.append(made)
    return str(await call.get(books).happen("pay", call, f"paid {cents}"))


@tool(effect="read", timeout=SOON)
async def look(call: Call, n: int = 0) -> str:
    """Look something up."""
    return await call.get(books).happen("look", call)  # type: ignore[no-any-return]


@tool(effect="irreversible", idempotency="key", timeout=SOON)
async def keyed(call: Call, n: int = 0) -> str:
    """An effect of a remote that remembers keys."""
    return await call.get(books).happen("keyed", call)  # type: ignore[no-any-return]


@tool(effect="irreversible", idempotency="probe", timeout=SOON)
async def probed(call: Call, n: int = 0) -> str:
    """An effect of a remote that can be asked."""
    return await call.get(books).happen("probed", call)  # type: ignore[no-any-return]


@probed.probe
async def was_probed(call: Call, n: int = 0) -> str | None:
    call.get(books).calls.append("asked")
    return "done" if call.key in call.get(books).keys else None


@tool(effect="irreversible", timeout=SOON)
async def blind(call: Call, n: int = 0) -> str:
    """An effect that nobody can ask about."""
    return await call.get(books).happen("blind", call)  # type: ignore[no-any-return]


@tool(effect="irreversible", idempotency=Key(business="invoice"))
async def settle(call: Call, invoice: str, cents: int = 1) -> str:
    """Settle an invoice, once."""
    return str(await call.get(books).happen("settle", call, f"settled {invoice}"))


@flow
async def paying(run: Run, arguments: dict[str, Any]) -> str:
    return await run.call(pay, **arguments)


def lab(kept: Books | None = None, policies: str = PERMIT, **settings: Any) -> Lab:
    """The bank, in memory."""
    return Lab(policies=policies, by=KIM, resources=[books.use(kept or Books())], **settings)


def on_disk(
    folder: Path, kept: Books | None = None, policies: str = PERMIT, *modules: ModuleType, **config: Any
) -> Flyball:
    """The bank over files, as a process of its own has it."""
    return Flyball(*_project(folder, policies, modules, config), uses=[books.use(kept or Books())])


def in_memory(
    ports: Ports, folder: Path, kept: Books, policies: str = PERMIT, *modules: ModuleType, **config: Any
) -> Flyball:
    """A process over a journal in memory, which several can share as machines share a database."""
    return Flyball(*_project(folder, policies, modules, config), ports, [books.use(kept)])


def _project(folder: Path, policies: str, modules: tuple[ModuleType, ...], config: Any) -> tuple[Config, Project]:
    place = folder / "policies"
    place.mkdir(exist_ok=True)
    place.joinpath("bank.cedar").write_text(policies)
    bare = msgspec.structs.replace(Config.bare("bank", str(folder), home=str(folder / "home")), **config)
    bare = msgspec.structs.replace(
        bare, project=msgspec.structs.replace(bare.project, policies=str(place), policy=None)
    )
    return bare, collect("bank", str(folder), [sys.modules[__name__], *modules])


class Hasty:
    """Time that moves on at once where somebody waits for it."""

    def __init__(self) -> None:
        self._now = 1_772_442_000_000_000

    def now(self) -> int:
        self._now += 1
        return self._now

    def begin_at(self, at: int) -> None:
        self._now = max(self._now, at)

    async def wait(self, until: int) -> None:
        self._now = max(self._now, until)

    def jumps(self) -> tuple[Jump, ...]:
        return ()


def memory(clock: Clock | None = None) -> Ports:
    """Ports in memory, with real time where no other is given."""
    entropy = adapter("entropy")()
    return Ports(
        journal=adapter("journal.memory")(entropy), keyring=adapter("keyring.memory")(), engine=cedar(),
        signer=adapter("signer.memory")("bank"), clock=clock or adapter("clock")(), entropy=entropy, models={},
        prices=adapter("prices")(None),
    )  # fmt: skip


def limited(max_bytes: int) -> Config:
    """A configuration in which one set of arguments may have so many bytes."""
    return msgspec.structs.replace(Config.bare("bank", "/srv", home="/srv"), input=Input(max_bytes=max_bytes))


def not_done() -> NotDone:
    """It certainly did not happen."""
    return NotDone("closed")
