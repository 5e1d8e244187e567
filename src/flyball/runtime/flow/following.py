"""Following: in a session the turn after a handoff begins with whom the work was handed to.

It goes there by a handoff of its own, from the agent that was started: through the same gate, in the same chain. Where
the log holds the first step already, that step says whether it was one.
"""

from __future__ import annotations

from typing import Any

from flyball.core.agent import Agent
from flyball.core.journal import RunRow
from flyball.core.record import record_id, unopened
from flyball.core.steps import child
from flyball.runtime.flow.activation import Activation, Branch


def handed_before(at: Activation) -> str:
    """The agent that has the work since the turn before this one; empty where nobody has."""
    if not at.row.session or at.row.turn < 2:
        return ""
    view = at.record.journal.view(at.tenant)
    before = [r for r in view.rows(RunRow, session=at.row.session) if r.turn == at.row.turn - 1]
    ended = view.record(record_id(before[0].id, "", 0, "run_ended")) if before else None
    return str(unopened(ended).facts.get("next", "")) if ended is not None else ""


def heir(at: Activation, branch: Branch, agent: Agent[Any, Any]) -> Agent[Any, Any] | None:
    """Whom an agent hands its work to before it begins, because they have it already; None where nobody has."""
    held, name = at.history.proposed(child(branch.prefix, 1)), branch.following
    if held is not None:  # an agent's own first step is never one
        return next((h for h in agent.handoffs if held == ("handoff", h.name)), None)
    return next((h for h in agent.handoffs if _leads(h, name)), None) if name else None


def _leads(agent: Agent[Any, Any], name: str) -> bool:
    return agent.name == name or any(_leads(h, name) for h in agent.handoffs)
