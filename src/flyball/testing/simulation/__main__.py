"""The matrix from the command line, or one case again: `python -m flyball.testing.simulation --help`."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from flyball.testing.simulation.case import play
from flyball.testing.simulation.faults import Fault, parse
from flyball.testing.simulation.invariants import violations
from flyball.testing.simulation.matrix import Counted, chosen, run_cases, table
from flyball.testing.simulation.scenarios import SCENARIOS

CHUNK = 64
MODES = ("singles", "recoveries", "pairs")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where everything held; 1 where something did not."""
    told = _parser().parse_args(arguments)
    if told.faults is not None:
        return _again(told.scenario[0] if told.scenario else "key", told.seed, parse(told.faults))
    return _matrix(told)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flyball.testing.simulation",
        description="The fault matrix; with --faults one case, with everything that happened in it.",
    )
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", help="POINT=KIND,... as a failing case prints them; empty for none")
    parser.add_argument("--modes", default=",".join(MODES), help=f"of {', '.join(MODES)}")
    parser.add_argument("--pairs", type=int, default=100, help="how many pairs of each scenario")
    parser.add_argument("--recoveries", type=int, default=0, help="how many deaths in recovery of each; 0: all")
    parser.add_argument("--workers", type=int, default=2)
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _again(name: str, seed: int, faults: Sequence[Fault]) -> int:
    """One case again, with its history."""
    played = play(SCENARIOS[name], seed, faults, audit=True)
    for line in played.history:
        _say(line)
    _say(f"told: {played.story.ended[-1:]}; asked about: {sorted(played.story.unknown)}; lives: {played.world.lives}")
    wrong = violations(played)
    for broken in wrong:
        _say(f"BROKEN {broken}")
    return 1 if wrong else 0


def _matrix(told: argparse.Namespace) -> int:
    begun, counted = time.monotonic(), Counted()
    for name, mode, part in _parts(told):
        for command, wrong in part.failures:
            _say("\n".join([command, *(f"    {broken}" for broken in wrong)]))
        cases, broken = sum(part.cases.values()), sum(part.broken.values())
        _say(f"{name} {mode}: {cases} cases, {broken} violations, at {time.monotonic() - begun:.0f} s")
        counted.add(part)
    _say("\n" + table(counted))
    _say(f"{sum(counted.cases.values())} cases, {sum(counted.broken.values())} violations, "
         f"{time.monotonic() - begun:.0f} s")  # fmt: skip
    return 1 if counted.failures else 0


def _parts(told: argparse.Namespace) -> Iterator[tuple[str, str, Counted]]:
    wanted = [(name, mode) for name in told.scenario or SCENARIOS for mode in told.modes.split(",")]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(told.workers, mp_context=spawn) as pool:
        listed = [(name, mode, pool.submit(chosen, name, mode, told.seed, told.pairs)) for name, mode in wanted]
        counting = []
        for name, mode, cases in listed:
            found = cases.result()
            if mode == "recoveries" and 0 < told.recoveries < len(found):
                found = found[:: -(-len(found) // told.recoveries)]
            parts = [found[start : start + CHUNK] for start in range(0, len(found), CHUNK)]
            counting.append((name, mode, [pool.submit(run_cases, name, mode, told.seed, part) for part in parts]))
        for name, mode, playing in counting:
            counted = Counted()
            for each in playing:
                counted.add(each.result())
            yield name, mode, counted


if __name__ == "__main__":
    sys.exit(main())
