"""How each history of this corpus came about: who started what, who said what, where the process died."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from flyball import Flow, Limits, NotDone, Pending, Principal
from flyball.core.config import Approvals, Config, LimitSet
from flyball.core.credential import enrolled
from flyball.core.errors import FlyballError
from flyball.core.guard import GuardConfig
from flyball.core.journal import KeyRow
from flyball.core.model import ModelError, ModelReply, ToolCall
from flyball.core.note import public_key
from flyball.testing import Crash, Lab, Say, propose
from flyball.testing.script import ask, hand_back
from tests.histories.v0_1 import addition, shop
from tests.histories.v0_1.shop import DAY, Drawer, Sum, clerk, find, look, pay, post, ring

HERE: Final = Path(__file__).parent
POLICY: Final = (HERE / "policies" / "till.cedar").read_text("utf-8")
KIM: Final = Principal("user:kim", groups=frozenset({"till", "shift", "early"}))
FAY: Final = Principal("user:fay", groups=frozenset({"finance", "owner"}))
NOOR: Final = Principal("user:noor", groups=frozenset({"finance", "owner"}))
SAM: Final = Principal("user:sam", groups=frozenset({"owner"}))
BY_KEY: Final = Principal("user:kim", groups=frozenset({"till"}), assurance="key")
PUBLIC: Final = public_key(bytes(range(32)))

Act = Callable[[Lab, Drawer], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Play:
    """What happens, and under which policies, configuration and answers of models."""

    act: Act
    policies: str = POLICY
    config: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)

    def lab(self, name: str) -> tuple[Lab, Drawer]:
        """The shop on its first morning; everything that is chance comes from the name of the history."""
        drawer = Drawer()
        config = msgspec.structs.replace(Config.bare("lab", "/srv/shop", home="/home/shop"), **self.config)
        lab = Lab(
            policies=self.policies, by=KIM, project=[shop], resources=[shop.drawer.use(drawer)], models=self.models,
            config=config, seed=name,
        )  # fmt: skip
        return lab, drawer


PLAYS: Final[dict[str, Play]] = {}


def play(**how: Any) -> Callable[[Act], Act]:
    def known(act: Act) -> Act:
        PLAYS[act.__name__.replace("_", "-")] = Play(act=act, **how)
        return act

    return known


def runs(name: str, what: Any, input: Any, limits: Limits | None = None, **how: Any) -> None:
    """A history of one run that nobody has to do anything for."""

    async def act(lab: Lab, drawer: Drawer) -> None:
        await lab.run(what, input, key="k", limits=limits)

    PLAYS[name] = Play(act=act, **how)


async def asked(lab: Lab, what: Any, input: Any, **how: Any) -> tuple[Pending, ...]:
    """A run that waits, and for which people."""
    return people(await lab.run(what, input, key="k", **how))


def people(told: Any) -> tuple[Pending, ...]:
    return tuple(pending for pending in told.pending if pending.kind != "timer")


MAIL: Final = "pat@example.com"


def guarded(**how: Any) -> Mapping[str, Any]:
    """With a guard on arguments, results and what comes out at the end."""
    guard = GuardConfig(**{"name": "private", "stages": ("tool_args", "tool_output", "final_output"), **how})
    return {"guards": {"private": guard}}


@play(config=guarded(stages=("tool_args",), settings={"action": "escalate"}))
async def guard_escalates(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.noting, f"write to {MAIL}")
    await lab.approve(pending, by=NOOR)


# flows ----------------------------------------------------------------------------------------------------------------
runs("call", shop.buying, 5)
runs("read-and-retry", shop.reading, 4)
runs("attempt", shop.attempting, 5)
runs("modified", shop.noting, "hello")
runs("entity", shop.greeting, "ann")
runs("entity-denied", shop.greeting, "eve")
runs("business-key", shop.refunding, "A-17")
runs("result-invalid", shop.oddly, 3)
runs("rate", shop.sending, 2)
runs("sub-flow", shop.nesting, 4)
runs("gather", shop.gathering, 5)
runs("not-awaited", shop.forgetting, 3)
runs("changed", shop.changing, 5)
runs("continue-as", shop.continuing, 2)
runs("ensures-kept", shop.promising, 5)
runs("chance", shop.drawing, 5)
runs("guard-redacts", shop.noting, f"write to {MAIL}", config=guarded())
runs("guard-blocks", shop.noting, f"write to {MAIL}", config=guarded(settings={"action": "block"}))
runs("guard-withholds", shop.noting, f"write to {MAIL}", config=guarded(stages=("final_output",), settings={
    "action": "escalate",
}))  # fmt: skip
runs("files", shop.filing, "ten tables")
runs("agent-alone", clerk, "what is in it?", models={"clerk": [propose(look, 3), Say("six")]})


@play(models={"teller": [Say("six")]})
async def two_turns(lab: Lab, drawer: Drawer) -> None:
    for key in ("k", "l"):
        await lab.run(shop.teller, "what is in it?", key=key, session="s")


@play()
async def remembered_and_forgotten(lab: Lab, drawer: Drawer) -> None:
    await lab.run(shop.recollecting, "Kim drinks tea", key="k")
    app = await lab._bench.ready()
    (memory,) = await app.memory.list(by=lab.by)
    await app.memory.forget(memory.id, by=lab.by, reason="asked for")
    await lab.run(shop.recollecting, "Kim drinks tea no more", key="l")


@play()
async def read_that_fails_at_first(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["peek"] = [OSError("dark"), OSError("still dark")]
    await lab.run(shop.reading, 4, key="k")


@play()
async def gather_asks_twice(lab: Lab, drawer: Drawer) -> None:
    first, second = await asked(lab, shop.gathering, 200)
    await lab.approve(second, by=FAY)
    await lab.approve(first, by=NOOR)


@play()
async def question_answered(lab: Lab, drawer: Drawer) -> None:
    (question,) = await asked(lab, shop.asking, 3)
    await lab.answer(question, 7, by=FAY)


@play()
async def question_not_answered(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.asking, 3)
    await lab.advance(3 * DAY)


@play()
async def question_waits(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.asking, 3)


@play()
async def sleep_and_until(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.sleeping, 3)
    await lab.advance(6 * DAY)


@play()
async def asleep(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.sleeping, 3)
    await lab.advance(4 * DAY)


@play()
async def timeout_won_by_the_step(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.hurrying, 200)
    await lab.approve(pending, by=FAY)


@play()
async def timeout_won_by_the_timer(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.hurrying, 200)
    await lab.advance(2 * DAY)


@play()
async def update(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.shopping, 200)
    await lab.restart()
    await lab.resume("k")  # so that nothing goes on by itself while somebody approves
    await lab.approve(pending, by=FAY)


@play()
async def chance_after_a_restart(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.drawing, 200)
    await lab.advance(DAY)
    await lab.restart()
    await lab.resume("k")  # so that nothing goes on by itself while somebody approves
    await lab.approve(pending, by=FAY)


@play(models={"clerk": [propose(look, 3), Say("six")]})
async def varied(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.varied, 200)
    await lab.advance(DAY)
    (question,) = people(await lab.resume("k"))
    (pending,) = people(await lab.answer(question, "yes", by=FAY))
    await lab.approve(pending, by=NOOR)


@play()
async def act_without_a_flow(lab: Lab, drawer: Drawer) -> None:
    await lab.act(pay, {"cents": 5}, call_id="paid")
    await lab.act(pay, {"cents": 500}, call_id="waits")
    await lab.act(pay, {"cents": 200_000}, call_id="denied")
    await lab.act(pay, {"cents": "many"}, call_id="invalid")
    await lab.act(ring, {"times": 1}, call_id="rung")


@play()
async def act_approved(lab: Lab, drawer: Drawer) -> None:
    pending = await lab.act(pay, {"cents": 500}, call_id="1")
    assert isinstance(pending, Pending)
    await lab.approve(pending, by=FAY)
    await lab.act(pay, {"cents": 500}, call_id="1")


# agents ---------------------------------------------------------------------------------------------------------------
def said(*calls: tuple[str, str, str], text: str = "") -> ModelReply:
    made = tuple(ToolCall(id=i, name=n, arguments=a) for i, n, a in calls)
    return ModelReply(text=text, calls=made, stop="tool" if made else "end", model="scripted:raw")


runs("agent", shop.serving, "pay", models={"clerk": [propose(look, 3), propose(pay, 6), Say("paid")]})
runs("agent-typed", shop.counting, "count", models={"teller": [Say(Sum(5, "a")), propose(look, 1), Say(Sum(7, "b"))]})
runs("agent-repaired", shop.counting, "count", models={"teller": [Say("five"), Say(Sum(5, "a")), Say(Sum(7, "b"))]})
runs("agent-never-fits", shop.counting, "count", models={"teller": [Say("five")] * 9})
runs("agent-hands-back", shop.serving, "pay", models={"clerk": [hand_back("I do not dare")]})
runs("agent-in-a-circle", shop.serving, "look", models={"clerk": [propose(look, 1)] * 9})
runs("agent-denied", shop.serving, "pay", models={"clerk": [propose(pay, 200_000), Say("I may not")]})
runs("agent-own-limit", shop.delegating, "pay", models={"miser": [propose(pay, n) for n in (1, 2, 3)]})
runs("agent-tainted", shop.serving, "serve", models={"clerk": [propose(find, "ann"), propose(pay, 9), Say("paid")]})
runs("agent-unusable-reply", shop.serving, "pay", models={
    "clerk": [
        said(("1", "pay", '{"cents": 5')), said(("1", "pya", "{}")), said(("1", "pay", '{"cents": "x"}')), Say("sorry"),
    ],
})  # fmt: skip
runs("model-busy", shop.serving, "hi", models={
    "clerk": [ModelError("rate_limited", "busy", sent=True, retry_after_ms=90_000), Say("hello")],
})  # fmt: skip
runs("model-gone", shop.serving, "hi", models={"clerk": [ModelError("auth", "no key", sent=True)] * 9})


@play(models={"clerk": [ask("How much?"), propose(pay, 7), Say("paid")]})
async def agent_asks(lab: Lab, drawer: Drawer) -> None:
    (question,) = await asked(lab, shop.serving, "pay")
    await lab.answer(question, "seven", by=KIM)


@play(models={"clerk": [[propose(pay, 200), propose(pay, 300), propose(look, 1)], Say("paid")]})
async def agent_proposes_several(lab: Lab, drawer: Drawer) -> None:
    first, second = await asked(lab, shop.serving, "pay both")
    await lab.approve(first, by=FAY)
    await lab.deny(second, by=FAY)


@play(models={"clerk": [propose(pay, 200), Say("paid")]})
async def agent_waits(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.serving, "pay")


# approvals ------------------------------------------------------------------------------------------------------------
@play()
async def waits_for_approval(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.buying, 200)


@play()
async def approved(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.buying, 200)
    await lab.approve(pending, by=FAY, reason="a good lamp")


@play()
async def approved_by_three(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.buying, 20_000)
    for who in (FAY, NOOR, SAM):
        await lab.approve(pending, by=who)


@play()
async def half_approved(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.buying, 20_000)
    await lab.approve(pending, by=FAY)


@play()
async def rejected(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.buying, 200)
    await lab.deny(pending, by=FAY, reason="no lamp")


@play()
async def rejected_and_proposed_again(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.insisting, 200)
    await lab.deny(pending, by=FAY)


@play()
async def edited_and_approved(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.buying, 500)
    (again,) = people(await lab.edit(pending, {"cents": 150}, by=FAY))
    with suppress(FlyballError):
        await lab.approve(pending, by=NOOR)  # what it was shown is not what would run: a conflict
    await lab.approve(again, by=NOOR)


@play()
async def edited_below_the_limit(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.buying, 500)
    await lab.edit(pending, {"cents": 50}, by=FAY)


@play()
async def edited_to_what_is_forbidden(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.buying, 500)
    await lab.edit(pending, {"cents": 200_000}, by=FAY)


@play()
async def expired(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.buying, 200)
    await lab.advance(3 * DAY)


@play(config={"approvals": Approvals(expires_ms=3_600_000)})
async def expired_and_proposed_again(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.insisting, 200)
    await lab.advance(timedelta(minutes=61))


@play()
async def asked_again_after_a_jump(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.buying, 200)
    lab.clock.set_forward(3 * DAY // timedelta(microseconds=1))
    (pending,) = people(await lab.resume("k"))
    await lab.approve(pending, by=FAY)


@play()
async def decided_again_tighter(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.buying, 200)
    await lab.activate(POLICY.replace("100000", "150"))
    with suppress(FlyballError):
        await lab.approve(pending, by=FAY)
    await lab.resume("k")


@play()
async def decided_again_for_somebody_else(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.buying, 200)
    await lab.activate(POLICY.replace('"finance"', '"owner"'))
    (pending,) = people(await lab.resume("k"))
    await lab.approve(pending, by=FAY)


@play()
async def decided_again_looser(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.buying, 200)
    await lab.activate(POLICY.replace("> 100 ", "> 300 "))
    await lab.resume("k")


@play()
async def precondition(lab: Lab, drawer: Drawer) -> None:
    await lab.run(shop.locking, 1, key="k")
    drawer.open = False
    await lab.run(shop.locking, 1, key="l")


@play()
async def approved_by_somebody_revoked(lab: Lab, drawer: Drawer) -> None:
    app = await lab._bench.ready()
    await app.runs.ready("local")
    public = base64.b64encode(PUBLIC).decode()
    row = KeyRow(id=enrolled(PUBLIC), person="user:kim", groups=("till",), public=public, created=lab.clock.now())
    await app.keys.enrol(row)
    (pending,) = await asked(lab, shop.buying, 200, by=BY_KEY)
    await app.keys.revoke(row.id)
    with suppress(FlyballError):
        await lab.approve(pending, by=FAY)
    await lab.resume("k")


# crashes --------------------------------------------------------------------------------------------------------------
CRASHED: Final[Mapping[str, tuple[Flow[Any, Any], Any, Any]]] = {
    "key": (shop.buying, 5, pay), "probe": (shop.posting, "dear all", post), "neither": (shop.ringing, 1, ring),
    "read": (shop.reading, 4, look),
}  # fmt: skip
POINTS: Final[Mapping[str, str]] = {
    "before-t1": "T1",
    "after-t1": "effect",
    "after-the-effect": "T2",
    "after-t2": "done",
}


def crashes(what: str, point: str) -> None:
    flow, input, tool = CRASHED[what]

    async def act(lab: Lab, drawer: Drawer) -> None:
        lab.crash_at(POINTS[point], tool)
        with suppress(Crash):
            await lab.run(flow, input, key="k")
        await lab.advance(DAY)
        await lab.resume("k")

    PLAYS[f"crash-{point}-with-{what}"] = Play(act=act)


for what in CRASHED:
    for where in POINTS if what == "key" else ("after-t1", "after-the-effect"):
        crashes(what, where)


@play()
async def crash_not_recovered(lab: Lab, drawer: Drawer) -> None:
    lab.crash_after(pay)
    with suppress(Crash):
        await lab.run(shop.buying, 5, key="k")


@play()
async def crash_twice(lab: Lab, drawer: Drawer) -> None:
    for point in ("T2", "T2"):
        lab.crash_at(point, pay)
        with suppress(Crash):
            await lab.run(shop.buying, 5, key="k")
    await lab.resume("k")


@play()
async def crash_of_a_branch(lab: Lab, drawer: Drawer) -> None:
    lab.crash_after(ring)
    with suppress(Crash):
        await lab.run(shop.gathering, 5, key="k")
    await lab.resume("k")


@play()
async def crash_after_an_approval(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.buying, 200)
    lab.crash_after(pay)
    with suppress(Crash):
        await lab.approve(pending, by=FAY)
    await lab.resume("k")


@play(models={"clerk": [propose(look, 3), propose(pay, 6), Say("done")]})
async def crash_in_a_model_call(lab: Lab, drawer: Drawer) -> None:
    for point in ("effect", "T2"):
        lab.crash_at(point, "model")
        with suppress(Crash):
            await lab.run(shop.serving, "pay what is in it", key="k")
    await lab.resume("k")


@play()
async def unknown_resolved_as_done(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["ring"] = [OSError("the line went dead")]
    (pending,) = await asked(lab, shop.ringing, 1)
    await lab.resolve(pending, "executed", by=FAY, result="rang", reason="heard it")


@play()
async def unknown_resolved_as_failed(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["ring"] = [OSError("the line went dead")]
    (pending,) = await asked(lab, shop.ringing, 1)
    await lab.resolve(pending, "failed", by=FAY)


@play()
async def unknown_waits(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["ring"] = [OSError("the line went dead")]
    await asked(lab, shop.ringing, 1)


@play()
async def unknown_in_an_attempt(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["ring"] = [OSError("the line went dead")]
    await asked(lab, shop.attempting, 5)


@play()
async def unknown_settled_late(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.shoving, 3)
    drawer.pushed = True
    while not any(record.kind == "late" for record in lab.records("k")):
        await asyncio.sleep(0.005)
    await lab.resume("k")


@play()
async def key_used_again(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["pay"] = [OSError("the line went dead")]
    await lab.run(shop.buying, 5, key="k")


@play()
async def probe_says_yes(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["post"] = [OSError("the line went dead")]
    await lab.run(shop.posting, "dear all", key="k")


@play()
async def probe_says_no(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["post before"] = [OSError("the line went dead")]
    await lab.run(shop.posting, "dear all", key="k")


@play()
async def not_done_and_tried_again(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["ring"] = [NotDone("no rope")]
    await lab.run(shop.ringing, 1, key="k")


# endings --------------------------------------------------------------------------------------------------------------
runs("ends-denied", shop.buying, 200_000)
runs("ends-invalid", shop.misfit, 1)
runs("ends-unproven", shop.promising, 0)
runs("ends-internal-error", shop.breaking, 1)
runs("ends-denied-too-often", shop.pestering, 100)
runs("limit-steps", shop.spending, 9, Limits(steps=1))
runs("limit-calls", shop.spending, 9, Limits(calls=1))
runs("limit-effects", shop.spending, 9, Limits(effects=1))
runs("limit-money", shop.spending, 9, Limits(usd="0.10"))
runs("limit-seconds", shop.dawdling, 2, Limits(seconds=3600))
runs("limit-of-the-tenant", shop.spending, 9, config={"limits": LimitSet(tenant=Limits(usd="0.10"))})
runs("limit-of-every-run", shop.spending, 9, config={"limits": LimitSet(run=Limits(calls=1))})


@play()
async def ends_tool_failed(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["look"] = [OSError("dark")] * 9
    await lab.run(shop.reading, 4, key="k")


@play()
async def ends_stopped(lab: Lab, drawer: Drawer) -> None:
    await asked(lab, shop.sleeping, 3)
    await lab.stop("k", "no longer wanted")


@play(config={"limits": LimitSet(step=Limits(calls=1))})
async def limit_of_a_step(lab: Lab, drawer: Drawer) -> None:
    drawer.faults["peek"] = [OSError("dark")]
    await lab.run(shop.reading, 4, key="k")


@play()
async def ends_diverged(lab: Lab, drawer: Drawer) -> None:
    shop.Mood.calm = True
    (pending,) = await asked(lab, shop.wavering, 200)
    shop.Mood.calm = False
    await lab.approve(pending, by=FAY)


@play()
async def moved_to_another_release(lab: Lab, drawer: Drawer) -> None:
    (pending,) = await asked(lab, shop.changing, 200)
    lab._bench._modules = (shop, addition)
    await lab.restart()
    await lab.resume("k")  # so that nothing goes on by itself while somebody approves
    await lab.approve(pending, by=FAY)
