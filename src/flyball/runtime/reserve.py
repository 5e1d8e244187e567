"""Reserve: what an attempt may cost at most, at every node of its budget path. T1 grants all of it or refuses."""

from __future__ import annotations

import msgspec

from flyball.core.budget import ZERO, plus
from flyball.core.journal import Reserve
from flyball.core.outcome import own_amounts
from flyball.core.proposal import Ruled


class Reserving:
    """Computes reservations; the journal's append is what grants them."""

    def hold(self, ruled: Ruled) -> Reserve:
        """The reservation of one attempt."""
        p = ruled.proposal
        if p.performer.lasting:  # an agent or flow costs what its steps cost
            return Reserve(id="", holds=())
        wanted = plus(own_amounts(p), p.performer.reserved or ZERO)
        return Reserve(id="", holds=tuple(msgspec.structs.replace(h, amounts=wanted) for h in p.place.holds))
