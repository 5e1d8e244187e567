"""Chance from a seed: what a test depends on can be had again."""

from __future__ import annotations

from flyball.testing import Lab
from flyball.testing.chance import Seeded
from tests.runtime.till import KIM, POLICY, Drawer, drawer
from tests.testing.test_lab import buying


async def log_of(seed: str | None) -> list[bytes]:
    bench = Lab(policies=POLICY, by=KIM, resources=[drawer.use(Drawer())], seed=seed)
    await bench.run(buying, 5, key="k")
    return [stored.leaf for stored in bench._bench.journal.view("local").records()]


def test_a_seed_gives_the_same_bytes_however_they_are_asked_for() -> None:
    one, other = Seeded("a"), Seeded("a")
    assert b"".join(one.bytes(n) for n in (1, 40, 0, 23)) == other.bytes(64) != Seeded("b").bytes(64)


async def test_a_lab_with_a_seed_leaves_the_same_log_again_and_one_without_never_does() -> None:
    assert await log_of("a") == await log_of("a") != await log_of("b")
    assert await log_of(None) != await log_of(None)
