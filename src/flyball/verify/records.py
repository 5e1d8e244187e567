"""Is the log in order as a log: it opens once, each record has one id, time never goes back?

A record is sealed with its time before it queues for the log, and outcomes overtake intents there. So records that
queued together may stand out of order by as long as a queue can be (`SLACK_US`); how far is said, more is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from flyball.core.record import NO_RUN
from flyball.core.route import Choice, mistaken
from flyball.verify.leaf import Leaf, text
from flyball.verify.report import Check, Findings, counted, named

SLACK_US: Final = 60_000_000
OPENING: Final = f"{NO_RUN}/log/0/opened"
# What a log says of itself where it does not tell everything.
_BOUNDARIES: Final = {"gap": "records are missing by the log's own account", "erasure": "payloads were erased"}
_OF_THE_LOG: Final = frozenset({"opened", *_BOUNDARIES})


class Records:
    """Follows the log from its opening."""

    def __init__(self) -> None:
        self.boundaries: list[str] = []
        self._records, self._order, self._opening = Findings("records"), Findings("order"), Findings("opening")
        self._ids: set[str] = set()
        self._tenants: dict[str, str] = {}
        self._latest = self._back = self._early = 0
        self._opened: Leaf | None = None

    def see(self, leaf: Leaf) -> None:
        """Takes the next leaf of the log."""
        if leaf.id in self._ids:
            self._records.add(f"record {leaf.at}: {named(leaf.id)} is there already")
        self._ids.add(leaf.id)
        if leaf.tenant not in self._tenants:
            self._tenants[leaf.tenant] = leaf.id
        if leaf.time >= self._latest:
            self._latest = leaf.time
        else:
            self._before(leaf)
        if not leaf.at:
            self._opened = leaf
        if "route" in leaf.facts and (wrong := _mistaken(leaf.facts["route"])):
            self._records.add(f"{named(leaf.id)}: the choice of its model does not follow: {wrong}")
        if leaf.kind not in _OF_THE_LOG:
            return
        if leaf.kind in _BOUNDARIES:
            self.boundaries.append(f"{_BOUNDARIES[leaf.kind]}: {named(leaf.id)} at {leaf.at}")
        elif leaf.at:
            self._opening.add(f"record {leaf.at} opens the log a second time")

    def _before(self, leaf: Leaf) -> None:
        back = self._latest - leaf.time
        self._early, self._back = self._early + 1, max(self._back, back)
        if back > SLACK_US:
            self._order.add(f"{named(leaf.id)} is {back // 1_000_000} seconds earlier than a record before it")

    def unread(self, index: int, why: str) -> None:
        """Takes a leaf that could not be read."""
        self._records.add(f"record {index} cannot be read: {why}")

    def checks(self, tenant: str, log: str, origin: str) -> Iterable[Check]:
        """What was found, once the last leaf was seen; the arguments are the claims of manifest and checkpoint."""
        yield self._open(tenant, log, origin)
        for other, where in self._tenants.items():
            if other != tenant:
                self._records.add(f"{named(where)} is of the tenant {named(other)}")
        yield self._records.check(f"{counted(len(self._ids), 'record')}, each well formed, each id once")
        queued = f"; {counted(self._early, 'record')} queued, by up to {self._back} us" if self._early else ""
        yield self._order.check(f"time never goes back{queued}")

    def _open(self, tenant: str, log: str, origin: str) -> Check:
        first = self._opened
        if first is None or first.id != OPENING:
            self._opening.add("the first record does not open the log")
        else:
            if text(first.facts, "log") != log:
                self._opening.add("it opens another log than the manifest names")
            if text(first.facts, "origin") != origin:
                self._opening.add("it opens the log under another origin than was signed")
            for name in sorted(first.facts.keys() - {"log", "origin"}):
                self.boundaries.append(f"the log opens with {named(name)}: {named(first.facts[name])}")
        return self._opening.check(f"log {named(log)} of tenant {named(tenant)}")


def _mistaken(told: Any) -> str:
    try:
        return named(mistaken(msgspec.convert(told, Choice)))
    except msgspec.ValidationError:
        return "it is no choice"
