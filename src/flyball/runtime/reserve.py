"""Reserve: what an attempt may cost at most, at every node of its budget path. T1 grants all of it or refuses."""

from __future__ import annotations

from flyball.core.budget import ZERO, dated, plus
from flyball.core.journal import Hold, Reserve
from flyball.core.outcome import own_amounts
from flyball.core.proposal import Ruled
from flyball.ports.clock import Clock


class Reserving:
    """Computes reservations; the journal's append is what grants them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def hold(self, ruled: Ruled) -> Reserve:
        """The reservation of one attempt, at the tenant's node of the day on which it is made."""
        p = ruled.proposal
        if p.performer.lasting:  # an agent or flow costs what its steps cost
            return Reserve(id="", holds=())
        wanted, now = plus(own_amounts(p), p.performer.reserved or ZERO), self._clock.now()
        holds = tuple([Hold(node=dated(h.node, now), amounts=wanted, limit=h.limit) for h in p.place.holds])
        return Reserve(id="", holds=holds)
