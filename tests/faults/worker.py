"""A real process that makes governed calls and kills itself where it is told to; its parent counts the effects.

    worker.py WHERE FOLDER...    in each folder goes on with the one run whose tool the folder is named after
                                 (key, probe or none), and says what became of each

WHERE: before_t1, before_effect, after_effect (dies there by SIGKILL, so with one folder only), or never. With
TRIGGER in the environment it does not die there: it makes the file of that name, and from then on its disk fails.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec

from flyball import Call, Critical, Flyball, Principal, Run, Tenant, Waiting, flow, resource, tool
from flyball.app.project import collect
from flyball.core.config import Config

WHERE, *FOLDERS = sys.argv[1:] or [""]
KIM = Principal("user:kim")
SHORT = timedelta(seconds=1)


@resource()
async def place(tenant: Tenant) -> AsyncIterator[Path]:
    yield Path(tenant.id)


def die(where: str) -> None:
    """Kills this process with SIGKILL where it was told to die."""
    if where == WHERE and "TRIGGER" in os.environ:
        Path(os.environ["TRIGGER"]).touch()
    elif where == WHERE:
        os.kill(os.getpid(), signal.SIGKILL)


def effects(call: Call) -> list[str]:
    """The remote's own log of effects, which is the oracle."""
    log = call.get(place) / "effects"
    return log.read_text().split() if log.exists() else []


def happen(call: Call, *, remembers: bool = False) -> str:
    """The effect, durable; a remote that remembers keys makes it once for each."""
    if not (remembers and call.key in effects(call)):
        with (call.get(place) / "effects").open("a") as log:
            log.write(f"{call.key}\n")
            log.flush()
            os.fsync(log.fileno())
    return call.key


@tool(effect="irreversible", idempotency="key", timeout=SHORT)
async def pay_key(call: Call, cents: Critical[int]) -> str:
    die("before_effect")
    told = happen(call, remembers=True)
    die("after_effect")
    return told


@tool(effect="irreversible", idempotency="probe", timeout=SHORT)
async def pay_probe(call: Call, cents: Critical[int]) -> str:
    die("before_effect")
    told = happen(call)
    die("after_effect")
    return told


@pay_probe.probe
async def was_paid(call: Call, cents: int) -> str | None:
    return call.key if call.key in effects(call) else None


@tool(effect="irreversible", timeout=SHORT)
async def pay_none(call: Call, cents: Critical[int]) -> str:
    die("before_effect")
    told = happen(call)
    die("after_effect")
    return told


async def ready(call: Call, cents: int) -> str | None:
    die("before_t1")
    return None


TOOLS = {"key": pay_key, "probe": pay_probe, "none": pay_none}
for each in TOOLS.values():
    each.requires(ready)


@flow
async def desk(run: Run, how: str) -> str:
    return await run.call(TOOLS[how], cents=100)


async def go(folder: Path, remote: Path | None = None) -> str:
    """Starts or goes on with the one run of a folder; says in words what became of it. `remote`: where its effects are
    logged, if not there."""
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    policies.joinpath("all.cedar").write_text('@id("all") permit (principal, action, resource);')
    config = Config.bare("faults", str(folder), home=str(folder))
    project = msgspec.structs.replace(config.project, policies=str(policies), policy=None)
    config = msgspec.structs.replace(config, project=project)
    values = collect("faults", str(folder), [sys.modules[__name__]])
    async with Flyball(config, values, uses=[place.use(remote or folder)]) as app:
        result = await app.run(desk, folder.name, by=KIM, key="ticket-7")
        report = await app.ledger.verify()
        kinds = [p.kind for p in result.pending] if isinstance(result, Waiting) else []
        return " ".join([result.reason, *kinds, "verified" if report.ok else "broken"])


async def main() -> None:
    """One line for each folder, in order."""
    for said in await asyncio.gather(*[go(Path(folder)) for folder in FOLDERS]):
        print(said)


if __name__ == "__main__":
    asyncio.run(main())
