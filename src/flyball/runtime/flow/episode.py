"""The last step of a run where episodes are remembered: what it came to is remembered, through the gate like all else.

Rules:

* It stands behind the last step of the run's own branch. A run that is folded again takes it where the log holds it,
  and only there: whether episodes are remembered is a matter of the configuration of then.
* It changes nothing of how the run ends. Where policy denies it, or a limit is used up, nothing is remembered.
"""

from __future__ import annotations

from typing import Protocol

from flyball.core.memory import REMEMBER, Remembering
from flyball.core.steps import child
from flyball.ports.recording import Recording
from flyball.runtime.flow.activation import Activation, Branch
from flyball.runtime.flow.scene import Scene
from flyball.runtime.flow.step import Halted


class Tells(Protocol):
    """Makes the episode of a run; `on`: are episodes remembered now?"""

    @property
    def on(self) -> bool:
        """Are episodes remembered now?"""
        ...

    def about(self, kind: str, what: str, /) -> str:
        """What an episode is about."""
        ...

    def of(self, record: Recording, tenant: str, run: str, kind: str, what: str, before: int, /) -> Remembering:
        """The episode of a run, from its records below this index; of all where it is negative."""
        ...


async def remember_episode(at: Activation, branch: Branch, tells: Tells) -> None:
    """Remembers what a run did that has come to its end."""
    row, path = at.row, child(branch.prefix, branch.made + 1)
    own = at.history.held(path)
    about = tells.about(row.kind, row.what)
    held = any(
        r.facts.get("action") == REMEMBER.name and (r.private or {}).get("args", {}).get("about") == about for r in own
    )
    if not held and (own or not tells.on or at.history.closed(child(branch.prefix, 0))):
        return  # nobody remembered it when it ran, or the code asks for less than the log holds
    wanted = tells.of(at.record, at.tenant, row.id, row.kind, row.what, own[0].index if own else -1)
    try:
        await at.act(branch, branch.next(), *at.memories.remember(Scene(at, branch), wanted))
        await at.memories.follow(at.tenant)
    except Halted:
        return
