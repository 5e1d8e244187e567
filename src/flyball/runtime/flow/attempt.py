"""Attempt: one proposal at the next place of a branch: a tool call, an agent, a flow, a handoff."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from flyball.core.effect import Action
from flyball.core.guard import NOTHING_SAID, Screened, Signal
from flyball.core.proposal import Performer
from flyball.core.result import Blocked, Executed, Failed
from flyball.runtime.flow.activation import Activation, Branch

NOTHING: Mapping[str, Any] = {}


def because(stated: str) -> Mapping[str, Any]:
    """The reason that a model gave, as it is recorded."""
    return {"stated": stated} if stated else NOTHING


class Attempt:
    """What is proposed, and how it is carried out at its `path`. `extra` is recorded with it; `screened` is what guards
    said of it when it was still as it was written."""

    def __init__(
        self, at: Activation, branch: Branch, action: Action, carried: Callable[[str], Performer],
        arguments: Mapping[str, Any], extra: Mapping[str, Any] = NOTHING, *,
        screened: Mapping[str, Signal] = NOTHING_SAID,
    ) -> None:  # fmt: skip
        self.path, self.name, self._extra = branch.next(), action.name, extra
        self._at, self._branch, self._action, self._carried, self._arguments = at, branch, action, carried, arguments
        self._screened = Screened(before=screened) if screened else None

    async def value(self) -> Any:
        """What it gave; raises Blocked or Failed."""
        told = await self()
        if isinstance(told, Executed):
            return told.value
        raise told

    def __call__(self) -> Coroutine[Any, Any, Executed[Any] | Blocked | Failed]:
        """What became of it."""
        return self._at.act(
            self._branch, self.path, self._action, self._carried(self.path), self._arguments, self._extra,
            screened=self._screened,
        )  # fmt: skip
