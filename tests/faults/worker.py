"""A real process that runs one governed tool and kills itself where it is told to; its parent counts the effects.

worker.py DIRECTORY HOW WHERE      HOW: key, probe, none    WHERE: before_t1, before_effect, after_effect, never
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import msgspec

from flyball import Call, Critical, Flyball, Principal, Run, Waiting, flow, tool
from flyball.adapters.config_toml import bare
from flyball.app.project import collect

POLICY = '@id("all") permit (principal, action, resource);'
HERE = Path(sys.argv[1])
HOW, WHERE = sys.argv[2], sys.argv[3]
KIM = Principal("user:kim")


def die_once(where: str) -> None:
    """Kills this process with SIGKILL the first time it gets to the place it was told to die at."""
    marker = HERE / "died"
    if where == WHERE and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def effect(key: str) -> str:
    """The remote: it remembers keys, and its own log of effects is the oracle."""
    log = HERE / "effects"
    done = log.read_text().split() if log.exists() else []
    if HOW != "key" or key not in done:
        with log.open("a") as f:
            f.write(f"{key}\n")
            f.flush()
            os.fsync(f.fileno())
    return key


@tool(effect="irreversible", idempotency=HOW, timeout=timedelta(seconds=1))
async def pay(call: Call, cents: Critical[int]) -> str:
    die_once("before_effect")
    told = effect(call.key)
    die_once("after_effect")
    return told


@pay.requires
async def open_for_business(call: Call, cents: int) -> str | None:
    die_once("before_t1")
    return None


@pay.probe
async def was_paid(call: Call, cents: int) -> str | None:
    log = HERE / "effects"
    return call.key if log.exists() and call.key in log.read_text().split() else None


@flow(ensures=[pay])
async def desk(run: Run, cents: int) -> str:
    return await run.call(pay, cents=cents)


async def main() -> None:
    """Starts or goes on with the one run, and says in one line what became of it."""
    policies = HERE / "policies"
    policies.mkdir(exist_ok=True)
    policies.joinpath("all.cedar").write_text(POLICY)
    config = bare("faults", HERE, environ={"HOME": str(HERE)}).config
    config = msgspec.structs.replace(
        config, project=msgspec.structs.replace(config.project, policies=str(policies), policy=None)
    )
    async with Flyball(config, collect("faults", str(HERE), [sys.modules[__name__]])) as app:
        result = await app.run(desk, 100, by=KIM, key="ticket-7")
        report = await app.ledger.verify()
        kinds = [p.kind for p in result.pending] if isinstance(result, Waiting) else []
        print(result.reason, *kinds, "verified" if report.ok else "broken", sep=" ")


if __name__ == "__main__":
    asyncio.run(main())
