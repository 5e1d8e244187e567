"""A real process that asks a model for many runs at once, over a database on disk, until it has or is killed.

burst.py FOLDER URL RUNS USD TOKENS    says `ready` once it has begun, then one line of JSON about what was spent
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

import msgspec

from flyball import Flyball, Limits, Principal, agent
from flyball.app.project import collect
from flyball.core.config import Config, LimitSet, Prices
from flyball.core.model import ModelConfig

KIM = Principal("user:kim")
PRICES = 'prices = 1\n[models."burst"]\ninput = 1_000_000\noutput = 4_000_000\n'
MAX_TOKENS = 50
clerk = agent("clerk", instructions="Say something.", may_ask=False, may_hand_back=False)


def configured(folder: Path, url: str, runs: int, usd: str, tokens: int) -> Config:
    """One model behind `url`, and a day of the tenant that is not enough for all."""
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    policies.joinpath("all.cedar").write_text('@id("all") permit (principal, action, resource);')
    prices = folder / "prices.toml"
    prices.write_text(PRICES)
    bare = Config.bare("burst", str(folder), home=str(folder))
    model = ModelConfig(name="default", model="burst", base_url=url, max_tokens=MAX_TOKENS, at_once=runs)
    return msgspec.structs.replace(
        bare, project=msgspec.structs.replace(bare.project, policies=str(policies), policy=None),
        models={"default": model}, prices=Prices(file=str(prices)),
        limits=LimitSet(tenant=Limits(usd=usd, tokens=tokens)),
    )  # fmt: skip


async def main(folder: Path, url: str, runs: int, usd: str, tokens: int) -> None:
    values = collect("burst", str(folder), [sys.modules[__name__]])
    async with Flyball(configured(folder, url, runs, usd, tokens), values) as app:
        print("ready", flush=True)
        handles = [await app.start(clerk, f"question {n}", by=KIM, key=f"k{n}") for n in range(runs)]
        ended = Counter([(await handle.result()).reason for handle in handles])
        (day,) = [row for row in app.budgets.list() if row.id.startswith("tenant/") and row.id.count("/") == 1]
        spent, held = (msgspec.to_builtins(each) for each in (day.spent, day.reserved))
        verified = (await app.ledger.verify()).ok
        print(json.dumps({"ended": ended, "spent": spent, "held": held, "verified": verified}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])))
