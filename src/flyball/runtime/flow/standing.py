"""Standing: what holds for a run from above it: the time, asks and denials of its tenant and its agents by the day.

What an action costs is reserved at their nodes in T1 like everywhere; this is what no reservation refuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flyball.core.budget import NO_LIMIT, TENANT, Amounts, Limit, dated, exceeded, plus
from flyball.core.caps import DENIAL, QUESTION, counted_at, full
from flyball.core.journal import BudgetRow, Hold, Reserve, Settle
from flyball.core.result import Blocked
from flyball.ports.recording import Recording
from flyball.runtime.flow.step import Halted

RUN = "run/"


@dataclass(slots=True)
class _Span:
    node: str
    began: int


class Standing:
    """The nodes above one run while it is driven, and how long its agents were driven in it."""

    def __init__(self, record: Recording, tenant: str, run: str) -> None:
        self._record, self._tenant, self._run = record, tenant, run
        self._spans: dict[str, _Span] = {}
        self._ms: dict[str, int] = {}

    # time ------------------------------------------------------------------------------------------------------------
    def enter(self, prefix: str, hold: Hold) -> None:
        """An agent whose seconds of the day are limited is driven from now on, in the branch of this prefix."""
        if hold.limit.ms != NO_LIMIT:
            self._spans[prefix] = _Span(hold.node, self._record.clock.now())

    def leave(self, prefix: str) -> None:
        """The branch parks or is over."""
        span = self._spans.pop(prefix, None)
        if span is not None:
            self._ms[span.node] = self._ms.get(span.node, 0) + self._since(span)

    def _since(self, span: _Span) -> int:
        return max(0, self._record.clock.now() - span.began) // 1000

    def _driven(self, node: str) -> int:
        under_way = sum(self._since(span) for span in self._spans.values() if span.node == node)
        return self._ms.get(node, 0) + under_way

    def time_used(self, id: str, tenant: Limit, ms: int) -> tuple[Reserve | None, Settle | None]:
        """What this activation adds to the seconds of the day: `ms` for the tenant, and for each agent how long it was
        driven. Told when the run parks or ends, never refused."""
        agents = self._ms.keys() | {span.node for span in self._spans.values()}
        used = {TENANT: ms if tenant.ms != NO_LIMIT else 0} | {node: self._driven(node) for node in sorted(agents)}
        now = self._record.clock.now()
        told = [Hold(node=dated(node, now), amounts=Amounts(ms=spent)) for node, spent in used.items() if spent > 0]
        return (Reserve(id=id, holds=tuple(told)), Settle(id=id, actual=None)) if told else (None, None)

    # what ends the run -----------------------------------------------------------------------------------------------
    def check(self, holds: Iterable[Hold], ms: int) -> None:
        """Raises what `refuse` does where denials are used up, and Halted where the day's time of a tenant or agent is;
        `ms`: see `time_used`. How often a run itself was denied is counted from its log."""
        for hold in holds:
            if hold.limit.denials != NO_LIMIT and not hold.node.startswith(RUN):
                self._check_count((hold,), DENIAL)
            node = dated(hold.node, self._record.clock.now())
            if hold.limit.ms == NO_LIMIT or node == hold.node:
                continue
            row = self._record.journal.row(self._tenant, BudgetRow, node)
            spent = row.spent.ms if row is not None else 0
            if spent + (ms if hold.node == TENANT else self._driven(hold.node)) >= hold.limit.ms:
                who = "the tenant's runs" if hold.node == TENANT else f"agent {hold.node.partition('/')[2]}"
                raise Halted("max_seconds", f"{who} may take {hold.limit.ms / 1000:g} s a day")

    def check_ask(self, holds: Iterable[Hold]) -> None:
        """Raises what `refuse` does where people may be asked no more questions."""
        self._check_count(holds, QUESTION)

    def _check_count(self, holds: Iterable[Hold], wanted: Amounts) -> None:
        for hold in counted_at(holds, wanted, self._record.clock.now()):
            row = self._record.journal.row(self._tenant, BudgetRow, hold.node)
            used = plus(row.reserved, row.spent) if row is not None else Amounts()
            dimension = exceeded(hold.limit, used, hold.amounts)
            if dimension is not None:
                self.refuse(f"{hold.node}:{dimension}", (hold,))

    def refuse(self, refused: str, holds: Iterable[Hold]) -> None:
        """What a cap ends that is used up, as `node:dimension`: raises Blocked for that of an agent within the run,
        which ends the agent, else Halted."""
        what = full(refused, holds, self._run)
        raise Blocked("policy_denied", what=what) if refused.startswith("agent/") else Halted("policy_denied", what)
