"""`python -m tests.tamper`: the whole tamper matrix, printed as a table. Ends with 1 where anything passes silently.

`--part N` takes every N-th edit and byte; `--seed S` makes other edits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.tamper.bytewise import Flip, flipped, flips
from tests.tamper.cases import CASES
from tests.tamper.database import edits
from tests.tamper.forgery import FORGERIES
from tests.tamper.sweep import outcome, stated
from tests.tamper.world import Fast, Verdict, World, made


class Line(NamedTuple):
    """One line of the table."""

    what: str
    cases: int
    refused: int
    found: int
    stated: int
    silent: tuple[str, ...]


def counted(what: str, verdicts: Iterable[tuple[str, Verdict | None, bool]]) -> Line:
    """The line of these verdicts: name, what was said, whether silence is stated with its reason."""
    how, silent = Counter[str](), list[str]()
    for name, verdict, known in verdicts:
        if verdict is None:
            continue
        passed = verdict.how == "silent"
        how["stated" if passed and known else verdict.how] += 1
        if passed and not known:
            silent.append(name)
    return Line(what, how.total(), how["refused"], how["found"], how["stated"], tuple(silent))


def lines(world: World, scratch: Path, part: int, seed: int) -> Iterator[Line]:
    """Every line, one after the other: the long ones last."""
    untouched = world.copy(scratch / "untouched")
    # Where what nobody touched is not verified, nothing that follows means anything.
    assert (untouched.offline().how, untouched.online().how) == ("silent", "silent")
    cases = ((c.name, c.verdict(world.copy(scratch / "case")), bool(c.why)) for c in CASES)
    yield counted("cases", cases)
    names = enumerate(FORGERIES)
    forged = ((f.name, f.verdict(world, scratch / f"forged{n}"), not f.caught) for n, f in names)
    yield counted("forged histories, nothing else known", forged)
    names = enumerate(FORGERIES)
    outside = ((f.name, f.verdict(world, scratch / f"outside{n}", outside=True), False) for n, f in names)
    yield counted("forged histories, a checkpoint was kept", outside)
    fast, every = Fast(world), list(edits(world.database, seed))[::part]
    for table in sorted({edit.table for edit in every}):
        those = (e for e in every if e.table == table)
        rows = ((f"{e.where} {e.how}", outcome(e, world, fast, scratch / "rows"), bool(stated(e.where))) for e in those)
        yield counted(f"rows of {table}", rows)
    copy = world.copy(scratch / "bytes")
    for place in sorted(copy.export.iterdir()):
        of_export = [f for f in flips(copy.export) if f.path.is_relative_to(place)][::part]
        yield counted(f"bytes of {place.name}", (_flipped(f, copy.offline) for f in of_export))
    of_signer = [f for f in flips(copy.signer.parent) if f.path == copy.signer][::part]
    yield counted("bytes of the signer", (_flipped(f, lambda: fast.verdict(copy)) for f in of_signer))


def _flipped(flip: Flip, look: Callable[[], Verdict]) -> tuple[str, Verdict, bool]:
    return f"{flip.path.name} {flip.at}", flipped(flip, look), False


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.tamper", description="The tamper matrix.")
    parser.add_argument("--part", type=int, default=1, help="every N-th edit and byte only")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began, total, silent = time.monotonic(), 0, 0
    print(f"{'tamper matrix':<42}{'cases':>8}{'refused':>9}{'found':>8}{'stated':>8}{'silent':>8}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for line in lines(made(scratch / "world"), scratch, given.part, given.seed):
            total, silent = total + line.cases, silent + len(line.silent)
            counts = f"{line.cases:>8}{line.refused:>9}{line.found:>8}{line.stated:>8}{len(line.silent):>8}"
            print(f"{line.what:<42}{counts}", flush=True)
            for name in line.silent[:20]:
                print(f"    passes silently: {name}")
    print(f"{total} cases, {silent} silent, seed {given.seed}, {time.monotonic() - began:.0f} s")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
