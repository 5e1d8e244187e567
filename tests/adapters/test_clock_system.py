"""The machine's clock: time never goes back, neither within a process nor behind a log; who sets it is noticed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from flyball.adapters.clock_system import STEP, SystemClock, SystemEntropy

SECOND = 1_000_000_000


class Machine:
    """A wall clock that can be set, beside one that cannot; in nanoseconds."""

    def __init__(self) -> None:
        self.passed, self.set_by = 0, 1_000 * SECOND
        self.clock = SystemClock(lambda: self.passed + self.set_by, lambda: self.passed)


def test_it_is_the_machines_time_in_microseconds() -> None:
    assert abs(SystemClock().now() - time.time_ns() // 1000) < 60_000_000


@pytest.mark.promise("journal-time-never-goes-back")
def test_a_clock_that_is_set_back_goes_on_and_says_so() -> None:
    machine = Machine()
    before = machine.clock.now()
    machine.set_by -= 3600 * SECOND
    assert machine.clock.now() == before
    assert [(jump.at, jump.by) for jump in machine.clock.jumps()] == [(before, -3_600_000_000)]
    machine.passed += SECOND
    assert machine.clock.now() == before + 1_000_000


def test_a_clock_that_is_set_forward_says_by_how_much_once() -> None:
    machine = Machine()
    machine.passed += 7 * SECOND
    machine.set_by += 3600 * SECOND
    assert machine.clock.now() == 4_607_000_000 == machine.clock.now()
    assert [jump.by for jump in machine.clock.jumps()] == [3_600_000_000]


def test_time_that_passes_and_a_clock_that_is_a_little_off_are_no_jump() -> None:
    machine = Machine()
    last = machine.clock.now()
    for off in (STEP * 999, -STEP * 999) * 50:  # just below a step, each time
        machine.passed += SECOND
        machine.set_by += off
        last, before = machine.clock.now(), last
        assert last >= before
    assert list(machine.clock.jumps()) == []


def test_time_goes_on_from_where_a_log_stands() -> None:
    machine = Machine()
    machine.clock.begin_at(1_005_000_000)
    assert machine.clock.now() == 1_005_000_000
    machine.passed += SECOND
    assert machine.clock.now() == 1_006_000_000 and not machine.clock.jumps()


class Dawdling(SystemClock):
    """A clock whose threads take turns right where one of them has read what it is about to change."""

    @property
    def _apart(self) -> int:
        found = self._kept
        time.sleep(0.001)
        return found

    @_apart.setter
    def _apart(self, value: int) -> None:
        self._kept = value


@pytest.mark.promise("journal-time-never-goes-back")
def test_threads_see_one_jump_and_no_time_that_goes_back() -> None:
    steady, off = count(0, 1_000_000), [0]
    clock = Dawdling(lambda: 1_000 * SECOND + off[0], lambda: next(steady))
    before = clock.now()
    off[0] = -3600 * SECOND
    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(lambda _: clock.now(), range(8)))
    assert len(clock.jumps()) == 1 and all(before <= now < before + SECOND for now in seen)


def test_a_thread_that_was_kept_waiting_while_it_read_the_clocks_saw_no_jump() -> None:
    machine, stops = Machine(), [60 * SECOND, 0, 60 * SECOND]

    def wall() -> int:
        now = machine.passed + machine.set_by
        machine.passed += stops.pop() if stops else 0
        return now

    clock = SystemClock(wall, lambda: machine.passed)
    assert clock.now() == 1_120_000_000 and not clock.jumps()


def test_a_log_in_the_past_changes_nothing() -> None:
    machine = Machine()
    machine.clock.begin_at(5)
    assert machine.clock.now() == 1_000_000_000


async def test_what_has_come_is_not_waited_for() -> None:
    clock = SystemClock()
    await clock.wait(clock.now() - 1)
    began = clock.now()
    await clock.wait(began + 2_000)
    assert clock.now() >= began + 2_000


def test_no_bytes_are_given_twice() -> None:
    entropy = SystemEntropy()
    assert len({entropy.bytes(16) for _ in range(1000)}) == 1000 and len(entropy.bytes(5000)) == 5000
