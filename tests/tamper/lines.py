"""The lines of the table that `python -m tests.tamper` prints, as one of several processes makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.tamper.bytewise import Flip, flipped, flips
from tests.tamper.cases import CASES
from tests.tamper.database import edits
from tests.tamper.forgery import FORGERIES
from tests.tamper.sweep import outcome, stated
from tests.tamper.world import Fast, Verdict, World

T = TypeVar("T")


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


class Share(NamedTuple):
    """What one of several processes does: every `part`-th edit and byte, and of those its own."""

    part: int
    seed: int
    own: int
    jobs: int

    def of(self, every: Sequence[T]) -> Sequence[T]:
        """Its own of what is done whatever the part is."""
        return every[self.own :: self.jobs]

    def sample(self, every: Sequence[T]) -> Sequence[T]:
        """Its own of a sample."""
        return self.of(every[:: self.part])


def lines(world: World, scratch: Path, share: Share) -> Iterator[Line]:
    """Every line, one after the other: the long ones last."""
    untouched = world.copy(scratch / "untouched")
    # Where what nobody touched is not verified, nothing that follows means anything.
    assert (untouched.offline().how, untouched.online().how) == ("silent", "silent")
    cases = ((c.name, c.verdict(world.copy(scratch / "case")), bool(c.why)) for c in share.of(CASES))
    yield counted("cases", cases)
    names = list(enumerate(share.of(FORGERIES)))
    forged = ((f.name, f.verdict(world, scratch / f"forged{n}"), not f.caught) for n, f in names)
    yield counted("forged histories, nothing else known", forged)
    outside = ((f.name, f.verdict(world, scratch / f"outside{n}", outside=True), False) for n, f in names)
    yield counted("forged histories, a checkpoint was kept", outside)
    fast, every = Fast(world), list(edits(world.database, share.seed))
    for table in sorted({edit.table for edit in every}):
        those = share.sample([edit for edit in every if edit.table == table])
        rows = ((f"{e.where} {e.how}", outcome(e, world, fast, scratch / "rows"), bool(stated(e.where))) for e in those)
        yield counted(f"rows of {table}", rows)
    copy = world.copy(scratch / "bytes")
    for place in sorted(copy.export.iterdir()):
        of_export = share.sample([f for f in flips(copy.export) if f.path.is_relative_to(place)])
        yield counted(f"bytes of {place.name}", (_flipped(f, copy.offline) for f in of_export))
    of_signer = share.sample([f for f in flips(copy.signer.parent) if f.path == copy.signer])
    yield counted("bytes of the signer", (_flipped(f, lambda: fast.verdict(copy)) for f in of_signer))


def done(world: str, scratch: str, share: Share) -> list[Line]:
    """A share of the work, in a process of its own with a world of its own."""
    return list(lines(World(Path(world)).copy(Path(scratch) / "world"), Path(scratch), share))


def together(parts: Iterable[Line]) -> Line:
    """The same line of several processes as one."""
    what, cases, refused, found, known, silent = zip(*parts, strict=True)
    return Line(what[0], sum(cases), sum(refused), sum(found), sum(known), tuple(chain(*silent)))


def _flipped(flip: Flip, look: Callable[[], Verdict]) -> tuple[str, Verdict, bool]:
    return f"{flip.path.name} {flip.at}", flipped(flip, look), False
