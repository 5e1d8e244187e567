"""The machine's clock: time never goes back, neither within a process nor behind a log."""

from __future__ import annotations

import time

import pytest

from flyball.adapters.clock_system import SystemClock, SystemEntropy

HOUR_NS = 3_600_000_000_000


def test_a_clock_that_was_set_back_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, wall = SystemClock(), time.time_ns()
    before = clock.now()
    monkeypatch.setattr(time, "time_ns", lambda: wall - HOUR_NS)
    assert clock.now() == before


def test_time_goes_on_from_where_a_log_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, wall = SystemClock(), time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: wall)
    clock.begin_at(wall // 1000 + 5_000_000)
    assert clock.now() == wall // 1000 + 5_000_000
    monkeypatch.setattr(time, "time_ns", lambda: wall + 1_000_000)
    assert clock.now() == wall // 1000 + 5_001_000


def test_a_log_in_the_past_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, wall = SystemClock(), time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: wall)
    clock.begin_at(5)
    assert clock.now() == wall // 1000


def test_no_bytes_are_given_twice() -> None:
    entropy = SystemEntropy()
    assert len({entropy.bytes(16) for _ in range(1000)}) == 1000 and len(entropy.bytes(5000)) == 5000
