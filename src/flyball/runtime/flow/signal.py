"""Signal: a score of the run's own work as a record, seen by every decision after it."""

from __future__ import annotations

from flyball.core.record import Event
from flyball.runtime.flow.activation import Activation, Branch
from flyball.runtime.flow.step import Halted


async def signalled(at: Activation, branch: Branch, path: str, name: str, amount: int) -> None:
    """Records a signal the first time; a replay finds it. `amount` is in ten-thousandths."""
    known = at.history.past(path).last("signal")
    if known is None:
        at.check_limits(branch)
        facts = {"name": name, "value": amount}
        await at.note(branch, Event(kind="signal", run=at.row.id, path=path, facts=facts, subjects=at.subjects))
        at.signals[name] = amount
    elif known.facts["name"] != name or known.facts["value"] != amount:
        raise Halted("replay_diverged", f"step {path}: the log holds another signal than {name} with this value")
