"""Episodes: reads a run's committed outcomes, and makes of them what is remembered of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from flyball.core.episode import Did, episode
from flyball.core.memory import LONGEST, MAX_ABOUT, Remembering
from flyball.core.outcome import Past
from flyball.core.record import Opened
from flyball.core.steps import bare
from flyball.ports.recording import Recording

ALL = 1_000_000
# What a person looks for later: tools, and what was refused. Model calls and reads of memory say nothing by themselves.
_TOLD = frozenset({"tool"})
Critical = Callable[[str], frozenset[str]]


class Episodes:
    """Makes the episode of a run; `critical` names the arguments of an action that belong into it. `on`: are episodes
    remembered, and for how long?"""

    def __init__(self, critical: Critical, ttl: timedelta, *, on: bool) -> None:
        self._critical, self._ttl, self.on = critical, min(ttl, LONGEST), on

    def about(self, kind: str, what: str) -> str:
        """What an episode is about."""
        return f"{kind} {what}"[:MAX_ABOUT]

    def of(self, record: Recording, tenant: str, run: str, kind: str, what: str, before: int) -> Remembering:
        """The episode of a run, from its records below this index; of all where it is negative."""
        view = record.journal.view(tenant)
        stored = [s for s in view.records(run=run, limit=ALL) if before < 0 or s.index < before]
        records = [record.open(tenant, one, view) for one in stored]
        day = datetime.fromtimestamp(records[0].time / 1_000_000, UTC).date().isoformat()
        return Remembering(
            text=episode(kind, what, day, list(self._did(records))), about=self.about(kind, what), scope="user",
            sensitivity="internal", seconds=self._ttl // timedelta(seconds=1),
        )  # fmt: skip

    def _did(self, records: Iterable[Opened]) -> Iterator[Did]:
        steps: dict[str, list[Opened]] = {}
        for r in records:
            if r.path:
                steps.setdefault(bare(r.path), []).append(r)
        for of_step in steps.values():
            asked = next((r for r in of_step if r.kind in ("intent", "decision")), None)
            if asked is None or asked.facts["action_kind"] not in _TOLD:
                continue
            action, args = str(asked.facts["action"]), (asked.private or {}).get("args", {})
            shown = {name: args[name] for name in self._critical(action) if args.get(name) is not None}
            yield Did(action=action, status=_status(Past(records=tuple(of_step))), arguments=shown)


def _status(past: Past) -> str:
    word = past.word()
    if word is None:
        return "unknown"
    if word.kind == "decision":
        return "denied"
    if word.facts["status"] != "executed":
        return "failed"
    return "approved" if any("approval" in r.facts for r in past.records if r.kind == "intent") else "executed"
