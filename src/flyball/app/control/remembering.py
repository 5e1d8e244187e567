"""Commands about memories, each as the person whose key asks: nobody is told what another one's agents remember."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from flyball.app.control.callers import Caller
from flyball.app.control.office import Office
from flyball.core.memory import Scope
from flyball.core.signature import to_json


class ListMemories(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Memories that the caller may see; `scope` leaves the others out."""

    scope: str = ""
    most: int = 100


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query over the memories of a scope; `least` is the least score, in thousandths."""

    query: str
    scope: str = "user"
    agent: str = ""
    session: str = ""
    top_k: int = 10
    least: int = 0


class Forget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A memory to forget."""

    id: str
    reason: str = ""


class Rebuild(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tenant's index."""


async def memories(office: Office, caller: Caller, wanted: ListMemories) -> dict[str, Any]:
    """What the caller may see, the youngest first."""
    scope = cast("Scope | None", wanted.scope or None)
    found = await office.memory.list(by=caller.by, scope=scope, most=wanted.most)
    return {"memories": [to_json(m) for m in found]}


async def search(office: Office, caller: Caller, wanted: Search) -> dict[str, Any]:
    """What answers a query, the best first."""
    found = await office.memory.search(
        wanted.query, by=caller.by, scope=cast("Scope", wanted.scope), agent=wanted.agent, session=wanted.session,
        top_k=wanted.top_k, min_score=wanted.least / 1000,
    )  # fmt: skip
    return {"memories": [to_json(m) for m in found]}


async def forget(office: Office, caller: Caller, wanted: Forget) -> dict[str, Any]:
    """Has a memory forgotten."""
    return {"record": await office.memory.forget(wanted.id, by=caller.by, reason=wanted.reason)}


async def rebuild(office: Office, caller: Caller, _: Rebuild) -> dict[str, Any]:
    """Makes the index again."""
    return {"memories": await office.memory.rebuild(tenant=caller.by.tenant)}
