"""The scene of a branch: what memory is told of the run that asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyball.core.identity import Principal
from flyball.core.journal import EpochRow
from flyball.core.origin import trace
from flyball.core.proposal import TAINT
from flyball.runtime.flow.activation import Activation, Branch


class Scene:
    """A branch of a run, as it is when it is asked."""

    def __init__(self, at: Activation, branch: Branch) -> None:
        self._at, self._branch = at, branch

    @property
    def tenant(self) -> str:
        """The run's tenant."""
        return self._at.tenant

    @property
    def principal(self) -> Principal:
        """Who the run acts for."""
        return self._branch.authority.principal

    @property
    def session(self) -> str:
        """The run's session; empty where it has none."""
        return self._at.row.session

    @property
    def agent(self) -> str:
        """The agent that acts in this branch; empty in a flow."""
        links = self._branch.authority.links
        return links[-1].agent if links else ""

    @property
    def source(self) -> str:
        """Who writes here."""
        return f"agent {self.agent}" if self.agent else f"{self._at.row.kind} {self._at.row.what}"

    @property
    def subjects(self) -> Sequence[str]:
        """Whose data the run is about."""
        return self._at.subjects

    @property
    def sensitivity(self) -> str:
        """The label of the most sensitive thing that the run has read."""
        return self._at.sensitivity

    def tainted(self) -> bool:
        """Has this run, or the one that it acts within, read what nobody vouches for? As the log says now."""
        return self._at.tainted or any(self._moved(f"{TAINT}{id}") for id in (self._at.row.id, self._at.row.parent))

    def _moved(self, name: str) -> bool:
        return self._at.record.journal.row(self._at.tenant, EpochRow, name) is not None

    def origin(self, value: Any) -> str:
        """Where a value came from."""
        return trace({"it": value}, self._at.origins)["it"]
