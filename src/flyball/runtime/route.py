"""Route: chooses the model that an attempt asks, of those that the question may go to. The gate decides on it then.

Rules:

* Policy first: each candidate is put before the cheap pass of policy, as its own resource. What that denies is no
  candidate; where it leaves none, the gate says why for the first.
* Of the others the least tried is asked that does not rest; where all do, the first of them.
* Where there is no choice (one model, no route) there is no record of one, either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from msgspec.structs import replace

from flyball.core.proposal import Proposal, Ways
from flyball.core.result import Blocked
from flyball.core.route import POLICY, RESTS, by_tries

First = Callable[[Proposal], Awaitable[tuple[Proposal, tuple[str, ...]]]]
# The gate says this itself: that an operator forgot a price must not send questions elsewhere unnoticed.
UNPRICED = ("unknown_price",)


class Routing:
    """`first` is the cheap pass of policy; `rests` says whether a model is better left alone for now."""

    def __init__(self, first: First, rests: Callable[[Proposal], bool]) -> None:
        self._first, self._rests = first, rests

    async def chosen(self, p: Proposal) -> Proposal | Blocked:
        """The proposal as it goes to the model that was chosen; Blocked where the route leaves none."""
        ways = p.performer.ways
        if ways is None:
            return p
        choice, unfit = ways.listed(p.place.tenant)
        if len(choice.candidates) == 1 and not choice.route:
            return _to(p, ways, choice.candidates[0])
        left: dict[str, tuple[str, ...]] = {name: (why,) for name, why in unfit.items()}
        fit = [name for name in choice.candidates if name not in left]
        for name in fit:
            _, denied = await self._first(_to(p, ways, name))
            if denied and denied != UNPRICED:
                left[name] = (POLICY, *denied)
        open_ = by_tries([name for name in fit if name not in left], p.tried)
        rested = []
        for name in open_:
            if not self._rests(_to(p, ways, name)):
                break
            rested.append(name)
        if len(rested) < len(open_):
            left |= dict.fromkeys(rested, (RESTS,))
        usable = [name for name in open_ if name not in left] or fit
        if not usable:
            return _none(choice.route, choice.rule, unfit)
        told = replace(choice, chosen=usable[0], left_out=left, tried=p.tried)
        others = any(name not in p.tried for name in usable[1:])
        found = _to(replace(p, route=told), ways, usable[0])
        return replace(found, performer=replace(found.performer, others=others))


def _to(p: Proposal, ways: Ways, name: str) -> Proposal:
    way = ways.way(name)
    return replace(p, performer=way.performer, resource=way.resource, entities=way.entities)


def _none(route: str, rule: str, unfit: Mapping[str, str]) -> Blocked:
    why = ", ".join(f"{name}: {word}" for name, word in unfit.items())
    where = f"routes.{route}.rules.{rule}" if rule else f"routes.{route}"
    return Blocked("policy_denied", what=f"{where} leaves no model to ask", why=why, fix="loosen its bounds")
