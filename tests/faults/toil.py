"""A real process that drives many runs over a database on disk, until it has done them all or is killed.

toil.py FOLDER SOCKET RUNS    says `ready` once it has begun, then one line of JSON about every call
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec

from flyball import Call, Flyball, Principal, Run, Tenant, flow, resource, tool
from flyball.app.project import collect
from flyball.core.config import Config

KIM = Principal("user:kim")
SHORT = timedelta(seconds=1)


class Line:
    """A connection to the remote for each request."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def tell(self, *words: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(f"{' '.join(words)}\n".encode())
            return (await reader.readline()).decode().strip()
        finally:
            writer.close()


@resource()
async def line(tenant: Tenant) -> AsyncIterator[Line]:
    yield Line("")


@tool(effect="irreversible", idempotency="key", timeout=SHORT)
async def pay(call: Call, n: int) -> str:
    return await call.get(line).tell("pay", "pay", call.key)


@tool(effect="irreversible", idempotency="probe", timeout=SHORT)
async def post(call: Call, n: int) -> str:
    return await call.get(line).tell("pay", "post", call.key)


@post.probe
async def posted(call: Call, n: int) -> str | None:
    return "post" if await call.get(line).tell("ask", call.key) == "yes" else None


@tool(effect="irreversible", timeout=SHORT)
async def ring(call: Call, n: int) -> str:
    return await call.get(line).tell("pay", "ring", call.key)


@flow
async def chain(run: Run, n: int) -> list[str]:
    return [await run.call(each, n=n) for each in (pay, post, ring)]


async def main(folder: Path, socket: str, runs: int) -> None:
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    policies.joinpath("all.cedar").write_text('@id("all") permit (principal, action, resource);')
    config = Config.bare("toil", str(folder), home=str(folder))
    project = msgspec.structs.replace(config.project, policies=str(policies), policy=None)
    config = msgspec.structs.replace(config, project=project)
    values = collect("toil", str(folder), [sys.modules[__name__]])
    async with Flyball(config, values, uses=[line.use(Line(socket))]) as app:
        print("ready", flush=True)
        handles = [await app.start(chain, n, by=KIM, key=f"k{n}") for n in range(runs)]
        for handle in handles:
            await handle.result()
        print(json.dumps({"calls": calls(app), "verified": (await app.ledger.verify()).ok}), flush=True)


def calls(app: Flyball) -> list[dict[str, object]]:
    """What the log says of every call: its key, its tool, and what it came to in the end."""
    found = []
    for row in app.runs.list():
        records = app.runs.records(row.id)
        last = {r.path: r.facts["status"] for r in records if r.kind in ("outcome", "resolution")}
        found += [
            {"key": r.facts["key"], "tool": r.facts["action"], "status": last.get(r.path, ""), "run": row.id}
            for r in records if r.kind == "intent" and r.attempt == 1 and r.facts["action_kind"] == "tool"
        ]  # fmt: skip
    return found


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
