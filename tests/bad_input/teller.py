"""A teller of the bank in a process of its own; what happened stands in the file `paid`, which its parent reads.

teller.py FOLDER run|hold|approve|edit [WHO] [PENDING OVER]
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from flyball import Call, Critical, Flyball, FlyballError, Principal, Run, Waiting, flow, tool
from flyball.app.project import collect
from flyball.core.config import Config

FOLDER, WHAT, *REST = sys.argv[1:] if len(sys.argv) > 2 else ("", "")
HERE = Path(FOLDER)
KIM = Principal("user:kim")
POLICY = """
@id("all") permit (principal, action, resource);
@id("much-asks-finance") @require_approval("finance")
forbid (principal, action == Action::"pay", resource)
when { context.input.cents > 100 } unless { context.approvals.contains("finance") };
"""


@tool(effect="irreversible")
async def pay(call: Call, cents: Critical[int]) -> str:
    """Pay out, in a file; where it is told to, not before somebody lets it."""
    with (HERE / "paid").open("a") as paid:
        paid.write(f"{cents} {os.getpid()}\n")
    while WHAT == "hold" and not (HERE / "let").exists():
        await asyncio.sleep(0.01)
    return f"paid {cents}"


@flow(ensures=[pay])
async def desk(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


def bank() -> Flyball:
    policies = HERE / "policies"
    policies.mkdir(exist_ok=True)
    policies.joinpath("bank.cedar").write_text(POLICY)
    config = Config.bare("bank", str(HERE), home=str(HERE / "home"))
    project = msgspec.structs.replace(config.project, policies=str(policies), policy=None)
    return Flyball(
        msgspec.structs.replace(config, project=project), collect("bank", str(HERE), [sys.modules[__name__]])
    )


async def works(app: Flyball) -> dict[str, Any]:
    """Does what it was called for; says where the run stands then."""
    if WHAT in ("run", "hold"):
        result = await app.run(desk, int(REST[0]), by=KIM, key="ticket-7")
    else:
        who, pending, over = REST
        by, shown = Principal(f"user:{who}", groups=frozenset({"finance"})), app.approvals.get(pending)
        shown = replace(shown, over=over)
        decided = (
            app.approvals.edit(shown, {"cents": 150}, by=by) if WHAT == "edit" else app.approvals.approve(shown, by=by)
        )
        await decided
        result = await app.runs.result(shown.run)
    asked = result.pending[0] if isinstance(result, Waiting) else None
    report = await app.ledger.verify()
    told = {"reason": result.reason, "value": getattr(result, "value", ""), "verified": report.ok}
    return told | ({"pending": asked.id, "over": asked.over, "arguments": asked.arguments} if asked else {})


async def main() -> int:
    """Prints one JSON object; answers 1 for an error."""
    try:
        async with bank() as app:
            print(json.dumps(await works(app)))
    except FlyballError as refused:
        print(json.dumps({"error": refused.code, "said": str(refused)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
