"""Throttle: breakers and rate limits, per tool and tenant. In memory: a restart forgets them, never the other way.

A breaker is `closed`, `open` while it rests, and then lets ONE call through, its trial: the others are refused until
that has ended, or its time is over. What it comes to closes the breaker or opens it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flyball.core.effect import Action, Rate

OPEN_AFTER = 5
OPEN_US = 30_000_000


@dataclass(slots=True)
class _State:
    failures: int = 0
    open_until: int = 0
    trial: str = ""
    trial_until: int = 0
    asked_until: int = 0
    tokens: float = 0.0
    at: int = 0
    started: bool = field(default=False)


class Throttle:
    """Says whether a call may go out now, and learns from how calls ended. Times in microseconds."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], _State] = {}

    def broken(self, tenant: str, tool: str, now: int, call: str, takes: int) -> int:
        """How long this tool's breaker refuses this call, in microseconds; 0 where it may go.

        After the rest one call may: it is the trial until it has ended, at most for the time that it `takes`.
        """
        state = self._states.get((tenant, tool))
        if state is None or state.failures < OPEN_AFTER:
            return 0
        if now < state.open_until:
            return state.open_until - now
        if state.trial and state.trial != call and now < state.trial_until:
            return state.trial_until - now
        state.trial, state.trial_until = call, now + max(takes, OPEN_US)
        return 0

    def rests(self, tenant: str, tool: str, now: int) -> bool:
        """Did its provider ask to be left alone for now? Who has another way goes there."""
        state = self._states.get((tenant, tool))
        return state is not None and now < state.asked_until

    def ended(self, tenant: str, tool: str, now: int, *, good: bool, rest: int = 0) -> None:
        """Counts an ending; OPEN_AFTER failures in a row open the breaker for OPEN_US. `rest`: how long it asked to be
        left alone."""
        state = self._states.setdefault((tenant, tool), _State())
        state.failures = 0 if good else state.failures + 1
        state.trial, state.asked_until = "", now + rest
        if state.failures >= OPEN_AFTER:
            state.open_until = now + OPEN_US

    def wait(self, tenant: str, action: Action, now: int, most: int) -> int:
        """Takes a place under the tool's rate; how long to wait for it, in microseconds.

        A place that is more than `most` away is not taken: who is refused must not put off those who come later. With
        0 any wait will do.
        """
        if action.rate is None:
            return 0
        state = self._states.setdefault((tenant, action.name), _State())
        return self._take(state, action.rate, now, most)

    @staticmethod
    def _take(state: _State, rate: Rate, now: int, most: int) -> int:
        per_us = rate.count / (rate.seconds * 1_000_000)
        if not state.started:
            state.started, state.tokens, state.at = True, float(rate.count), now
        state.tokens = min(float(rate.count), state.tokens + (now - state.at) * per_us)
        state.at = now
        # Below zero the place becomes due when the bucket has refilled to it.
        after = state.tokens - 1.0
        wait = 0 if after >= 0 else int(-after / per_us) + 1
        if not 0 < most < wait:
            state.tokens = after
        return wait
