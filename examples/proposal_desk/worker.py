"""A host program with the desk in it: starts one request, says what happens as it is recorded, stays to its end.

    python worker.py C-017 "a proposal for line 3" --key ticket-7

The program vouches for kim, who asked. Whoever must agree acts from elsewhere: `flyball approvals`, `flyball approve`.
The same key is the same run: started again after a crash, the worker goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Final

import msgspec
from drafts import Request
from flows import proposal

from flyball import Completed, Flyball, Principal
from flyball.core.event import Ended, Event

HERE: Final = Path(__file__).resolve().parent
KIM: Final = Principal("user:kim", groups=frozenset({"sales-desk"}))


async def work(request: Request, key: str) -> int:
    """Starts the request, or takes it up again; returns what the shell is answered."""
    async with Flyball.open(HERE / "flyball.toml") as app:
        run = await app.start(proposal, request, by=KIM, key=key)
        say("run", id=run.id)
        async for event in run.watch():
            tell(event)
            if isinstance(event, Ended):
                break
        result = await run.result()
    say("end", reason=result.reason, value=result.value.said if isinstance(result, Completed) else "")
    return 0 if result.ok else 1


def tell(event: Event) -> None:
    """One recorded event as one line."""
    say(type(event).__name__.lower(), **msgspec.to_builtins(event))


def say(word: str, **facts: object) -> None:
    """A line that a person and a program can read: a word, then JSON."""
    print(word, msgspec.json.encode({name: fact for name, fact in facts.items() if fact}).decode(), flush=True)


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("customer", help="a customer's id, such as C-017")
    parser.add_argument("wish", help="what they want, in plain words")
    parser.add_argument("--key", required=True, help="the same key is the same run, for ever")
    args = parser.parse_args()
    return asyncio.run(work(Request(args.customer, args.wish), args.key))


if __name__ == "__main__":
    sys.exit(main())
