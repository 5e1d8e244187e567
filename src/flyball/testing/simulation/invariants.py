"""What must hold once everything has been recovered: one function for each sentence, each giving what breaks it.

The remote's own log of effects is the oracle; everything else is read from the log of the system under test.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from flyball.core.budget import COSTS, DIMENSIONS
from flyball.core.limits import counted
from flyball.core.record import Opened
from flyball.core.result import Completed
from flyball.core.steps import bare
from flyball.testing.simulation import shop
from flyball.testing.simulation.case import Played

Broken = Iterator[str]
# A run may end in any of these where something went wrong; in none of them the runtime itself is at fault.
ENDS: Final = frozenset({
    "completed", "stopped", "budget_exhausted", "model_failed", "policy_denied", "tool_failed", "max_steps",
    "invalid_output", "approval_expired", "approval_rejected",
})  # fmt: skip
SLOW: Final = ("=slow", "=long", "=usurp")
NOT_DONE: Final = frozenset({"failed", "not_started"})


def steps(played: Played) -> Mapping[tuple[str, str], list[Opened]]:
    """The records of each governed tool call, by run and path."""
    found: dict[tuple[str, str], list[Opened]] = defaultdict(list)
    for record in played.records:
        found[record.run, bare(record.path)].append(record)
    return {at: some for at, some in found.items() if _action(some) in shop.TOOLS}


def _action(records: list[Opened]) -> str:
    return next((str(r.facts["action"]) for r in records if r.kind in ("intent", "decision")), "")


def _key(records: list[Opened]) -> str:
    return next((str(r.facts["key"]) for r in records if r.kind == "intent"), "")


def said_last(records: list[Opened]) -> Opened | None:
    """What the log says of a call in the end: what a person found out, else what it came to late, else in time. That a
    later attempt did not happen says nothing of one before it that nobody knows of."""
    by_person = [r for r in records if r.kind == "resolution"]
    late = [r for r in records if r.kind == "late" and r.facts["status"] == "executed"]
    outcomes = [r for r in records if r.kind == "outcome"]
    found = by_person or late or outcomes
    if found is outcomes and found and found[-1].facts["status"] in NOT_DONE:
        found = [r for r in outcomes if r.facts["status"] == "unknown"] or found
    return found[-1] if found else None


def once(played: Played) -> Broken:
    """I1: under one idempotency key there is at most one effect, and one where the log says that it was executed."""
    for key, count in Counter(done.key for done in played.world.remote.effects).items():
        if count > 1:
            yield f"{count} effects under the key {key}"


def no_false_executed(played: Played) -> Broken:
    """I2: what the log says was executed has happened."""
    for at, records in steps(played).items():
        last = said_last(records)
        if last is not None and last.facts["status"] == "executed" and not _happened(played, records):
            yield f"{at[1]} {_action(records)}: executed, and nothing happened"


def no_false_failed(played: Played) -> Broken:
    """I2: what the log says did not happen has not happened."""
    for at, records in steps(played).items():
        last = said_last(records)
        if last is None:
            denied = not any(r.kind == "intent" for r in records)
            if denied and _happened(played, records):
                yield f"{at[1]} {_action(records)}: never allowed, and it happened"
        elif last.facts["status"] in NOT_DONE and _happened(played, records):
            yield f"{at[1]} {_action(records)}: {last.facts['status']}, and it happened"


def nothing_unknown_again(played: Played) -> Broken:
    """I2: nothing unknown is tried again, unless the remote takes a key."""
    for at, records in steps(played).items():
        if any(r.facts.get("idempotency") == "key" for r in records if r.kind == "intent"):
            continue
        ended = {r.attempt: r for r in records if r.kind == "outcome"}
        for intent in (r for r in records if r.kind == "intent" and r.attempt > 1):
            before = ended.get(intent.attempt - 1)
            if before is None or not before.facts["certain"]:
                yield f"{at[1]} {_action(records)}: attempt {intent.attempt} although nobody knew of the one before"


def intended_before(played: Played) -> Broken:
    """I3: when an effect happened, a durable intent that allowed exactly it was there."""
    args = {_key(records): _arguments(records) for records in steps(played).values()}
    for done in played.world.remote.effects:
        if not done.allowed:
            yield f"{done.tool} happened without a durable intent"
        elif args.get(done.key, {}).get("cents") != done.cents:
            yield f"{done.tool} {done.cents} happened; what was allowed is {args.get(done.key)}"


def approved_once(played: Played) -> Broken:
    """I3: what needs an approval has one of its own, granted for it and used up by it alone."""
    rows, used = {row.id: row for row in played.pending}, Counter[str]()
    for at, records in steps(played).items():
        intents = [r for r in records if r.kind == "intent"]
        needing = [r for r in intents if r.facts["cures"]]
        approvals = {str(r.facts.get("approval", {}).get("pending", "")) for r in needing}
        if "" in approvals:
            yield f"{at[1]}: an intent that needed an approval names none"
        for name in sorted(approvals - {""}):
            used[name] += 1
            row = rows[name]
            agreed = [r for r in records if r.kind == "approved" and r.facts["over"] == row.over]
            if row.state != "consumed" or not row.intent.startswith(f"{at[0]}/{at[1]}/") or not agreed:
                yield f"{at[1]}: the approval {name} is {row.state}, used for {row.intent}"
    yield from (f"the approval {name} was used {count} times" for name, count in used.items() if count > 1)


def policy_in_force(played: Played) -> Broken:
    """I3: after policies that forbid it are in force, no effect is intended any more."""
    for layer in _closed(played):
        later = [r for r in played.records if r.kind == "intent" and r.index > layer and r.facts["effect"] != "read"]
        yield from (f"{r.path} {r.facts['action']} was intended under policies that forbid it" for r in later)


def people_obeyed(played: Played) -> Broken:
    """I3: what people said no to, or changed, does not happen as it was."""
    effects = [done for done in played.world.remote.effects if done.cents == 500]
    if effects and played.scenario.people in ("deny", "edit") and not _approved_as_was(played):
        yield f"{effects[0].tool} 500 happened although people said otherwise"


def budgets_conserved(played: Played) -> Broken:
    """I5: what is reserved is what open reservations hold, what is spent is what ended attempts used, and neither
    passes its limit; a reservation stays open only for what nobody knows."""
    held = {hold.id for hold in played.holds}
    doubtful = {
        at: r for at, r in steps(played).items() if (last := said_last(r)) and last.facts["status"] == "unknown"
    }
    for id in sorted(held):
        run, path, *_ = id.split("/")
        if (run, path) not in doubtful and not _contradicted(steps(played)[run, path]):
            yield f"the reservation {id} was never settled"
    for row in played.budgets:
        open_rows = [pending.counts for pending in played.pending if pending.state == "open"]
        parts = [h for held in (*(hold.holds for hold in played.holds), *open_rows) for h in held]
        reserved = [h.amounts for h in parts if h.node == row.id]
        for dimension in DIMENSIONS:
            if getattr(row.reserved, dimension) != sum(getattr(a, dimension) for a in reserved):
                yield f"{row.id}: {dimension} reserved is not what is held"
            limit = getattr(counted(played.scenario.limits), dimension)
            if row.id.startswith("run/") and 0 <= limit < getattr(row.reserved, dimension) + getattr(
                row.spent, dimension
            ):
                yield f"{row.id}: {dimension} are over their limit"
    most, happened = counted(played.scenario.limits).effects, len(played.world.remote.effects)
    if 0 <= most < happened:
        yield f"{happened} effects, and the run may have {most}"
    yield from _spent(played, held)


def _spent(played: Played, held: set[str]) -> Broken:
    for row in (row for row in played.budgets if row.id.startswith("run/")):
        mine = [r for r in played.records if r.run == row.id.removeprefix("run/")]
        intents = {r.id: r for r in mine if r.kind == "intent"}
        resolved = {str(r.facts["intent"]): r for r in mine if r.kind == "resolution"}
        late = {(bare(r.path), r.attempt): r for r in mine if r.kind == "late" and r.facts["status"] == "executed"}
        for dimension in COSTS:
            used = 0
            for outcome in (r for r in mine if r.kind == "outcome"):
                id = outcome.id.removesuffix("outcome") + "intent"
                usage = outcome.facts["usage"]
                said = resolved.get(id)
                if outcome.facts["status"] == "unknown" and outcome.facts["final"]:
                    usage = _settled(intents[id], said, late.get((outcome.path, outcome.attempt)))
                elif said is not None and said.facts["status"] == "executed":  # it was said not to have happened
                    usage = intents[id].facts["reserved"]
                used += 0 if id in held else int(usage.get(dimension, 0))
            if used != getattr(row.spent, dimension):
                yield f"{row.id}: {dimension} spent {getattr(row.spent, dimension)}, used {used}"


def _contradicted(records: list[Opened]) -> bool:
    """Is it asked whether something happened that the log says did not, and nobody has answered?"""
    said = {str(r.facts["intent"]) for r in records if r.kind == "resolution"}
    asked = (r for r in records if r.kind == "asked" and "after" in r.facts["covers"])
    return any(f"{r.run}/{bare(r.path)}/{r.attempt}/intent" not in said for r in asked)


def _settled(intent: Opened, resolved: Opened | None, late: Opened | None) -> Mapping[str, Any]:
    """What an unknown outcome was charged in the end: as it came late, or as it was reserved, or nothing."""
    first = min((r for r in (resolved, late) if r is not None), key=lambda r: r.index, default=None)
    if first is None or first.facts["status"] != "executed":
        return {}
    return dict(first.facts["usage"] if first is late else intent.facts["reserved"])


def as_if_serial(played: Played) -> Broken:
    """I6: the code over the log alone, without faults and in one go, comes to the same; and what the run tells is what
    happened."""
    yield from played.differences
    result = played.story.ended[-1] if played.story.ended else None
    if isinstance(result, Completed) and isinstance(result.value, list):
        happened = Counter(f"{done.tool} {done.cents}" for done in played.world.remote.effects)
        claimed = Counter(word for word in result.value if word.partition(" ")[0] in shop.TOOLS)
        yield from (f"the run tells of {word}, which did not happen" for word in (claimed - happened))


def recovery_is_idempotent(played: Played) -> Broken:
    """I7: recovering again changes nothing, and who asks again is told the same."""
    if played.grew:
        yield f"the second recovery wrote {played.grew} records"
    if any(told != played.story.ended[0] for told in played.story.ended):
        yield f"the client was told different things: {played.story.ended}"


def it_ends(played: Played) -> Broken:
    """Every accepted run ends, in words that blame no fault of the runtime, and nobody waits for a lost hint."""
    yield from played.story.strange
    yield from played.story.deaf
    for row in played.runs:
        if row.state != "ended" or row.reason not in ENDS:
            yield f"run {row.id} is {row.state}: {row.reason}"


def time_goes_on(played: Played) -> Broken:
    """Timestamps never go back within a log, further than an append may take: a record is dated when it is made."""
    if any(word.endswith(SLOW) for word in played.world.happened):
        return
    for before, after in zip(played.records, played.records[1:], strict=False):
        if after.time < before.time:
            yield f"{after.id} is {(before.time - after.time) / 1e6:.0f} s before the record before it"


def sound(played: Played) -> Broken:
    """The exported ledger verifies."""
    if not played.sound:
        yield "the exported ledger does not verify"


INVARIANTS: Final[tuple[Callable[[Played], Broken], ...]] = (
    once, no_false_executed, no_false_failed, nothing_unknown_again, intended_before, approved_once, policy_in_force,
    people_obeyed, budgets_conserved, as_if_serial, recovery_is_idempotent, it_ends, time_goes_on, sound,
)  # fmt: skip


def violations(played: Played) -> list[str]:
    """Everything that does not hold, each with the name of what should."""
    return [f"{check.__name__}: {broken}" for check in INVARIANTS for broken in check(played)]


def _happened(played: Played, records: list[Opened]) -> bool:
    return played.world.remote.happened(_key(records)) is not None


def _arguments(records: list[Opened]) -> Mapping[str, Any]:
    intents = [r for r in records if r.kind == "intent"]
    return (intents[-1].private or {}).get("args", {}) if intents else {}


def _closed(played: Played) -> Iterator[int]:
    """The index of the last activation, where it forbids every effect."""
    activated = [r for r in played.records if r.kind == "policy_activated"]
    other = played.story.replaced or any(word.endswith("=reopened") for word in played.world.happened)
    if not other and activated[-1].facts["digest"] != activated[0].facts["digest"]:
        yield activated[-1].index


def _approved_as_was(played: Played) -> bool:
    return any(r.kind == "approved" and (r.private or {}).get("args", {}).get("cents") == 500 for r in played.records)
