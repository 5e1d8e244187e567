"""A project that lives, and every moment of its journal: what a verifier may see while others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from flyball import Completed, Run, flow
from flyball.core.journal import Stored
from flyball.core.note import parse_vkey
from flyball.testing import Lab
from flyball.verify.stored import verify_store
from tests.runtime.till import FAY, POLICY, Drawer, gossip, key_of, lab, look, pay, ring

LARGE = "x" * 3000


@flow
async def paying(run: Run, cents: int) -> str:
    await run.call(look, cents)
    return await run.call(pay, cents)


@flow
async def turning(run: Run, left: int) -> int:
    await run.call(gossip)
    return await run.continue_as(left - 1) if left else left


@flow
async def asking(run: Run, text: str) -> Any:
    return await run.ask(text, str, to="finance", within=timedelta(days=1), default="no")


@flow
async def ringing(run: Run, times: int) -> str:
    return await run.call(ring, times)


def rooms(bench: Lab) -> Any:
    return bench._bench._app.rooms  # type: ignore[union-attr]


@flow
async def look_only(run: Run, n: int) -> int:
    return await run.call(look, n)


async def lived() -> tuple[Lab, list[Any]]:
    """A lab in which everything happened once, and a view of each moment."""
    till = Drawer()
    bench = lab(till)
    await bench.run(look_only, 1)
    moments = list[Any]()
    journal: Any = bench._bench.journal
    append = journal.append

    async def appended(one: Any) -> Any:
        answer = await append(one)
        moments.append(journal.view("local"))
        return answer

    journal.append = appended
    await happens(bench, till)
    assert all(isinstance(one, Completed) for one in [await bench.run(paying, 5)])
    return bench, moments


async def happens(bench: Any, till: Drawer) -> None:
    asked = [await bench.run(paying, cents) for cents in (500, 600, 700)]
    await bench.run(paying, 200_000)
    await bench.run(turning, 2)
    await bench.approve(asked[0].pending[0], by=FAY)
    await bench.deny(asked[1].pending[0], by=FAY)
    questions = [await bench.run(asking, text) for text in ("now?", LARGE)]
    await bench.answer(questions[0].pending[0], "yes", by=FAY)
    till.faults["ring"] = [OSError("lost"), OSError("lost")]
    unknown = await bench.run(ringing, 1)
    await bench.resolve(unknown.pending[0], "executed", by=FAY, result="rang 1")
    await bench.activate(POLICY + '@id("more") permit (principal, action == Action::"ring", resource);', by=FAY)
    await bench.stop(asked[2].run, by=FAY)
    app: Any = bench._bench._app
    await app.keys.enrol(key_of("user:fay", "finance"))
    await app.keys.enrol(key_of("user:noor", "finance"))
    await app.keys.revoke(key_of("user:noor").id)
    till.faults["ring"] = [OSError("lost"), OSError("lost")]
    await bench.run(ringing, 2, key="held")
    await bench.run(paying, 800)
    await app.ledger.checkpoint()


def verified(rooms: Any, look: Callable[[], Any], opens: Callable[[Stored], Any] | None = None) -> dict[str, str]:
    """The findings of each check that fails, in one text."""
    view, record = rooms.ports.journal.view("local"), rooms.record
    checks = verify_store(
        look, opens or (lambda one: record.disclose("local", one, view)), partial(record.person, "local"),
        parse_vkey(rooms.ledger.verifier_key()), rooms.ledger.origin("local"),
    )  # fmt: skip
    return {check.name: "\n".join(check.findings) for check in checks if not check.ok}


class Spoiled:
    """A view in which some methods answer otherwise: each is handed the true answer and what was asked."""

    def __init__(self, view: Any, **instead: Callable[..., Any]) -> None:
        self._view, self._instead = view, instead

    def __getattr__(self, name: str) -> Any:
        true, spoil = getattr(self._view, name), self._instead.get(name)
        return (lambda *args, **named: spoil(true(*args, **named), *args, **named)) if spoil else true


def ever_later(moments: list[Any], steps: Iterator[int]) -> Callable[[], Any]:
    """Looks at ever later moments: as many later as `steps` says."""
    at = 0

    def look() -> Any:
        nonlocal at
        at = min(at + next(steps), len(moments) - 1)
        return moments[at]

    return look
