"""One section run alone: `python -m benchmarks.NAME [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.report import Row, machine, markdown, show, unjudged, write
from benchmarks.sizes import FULL, QUICK, Size

Measure = Callable[[Size, Path], list[Row]]
# Not the system's temporary folder, which may be memory: what is measured is durable.
PLACE: Final = Path(__file__).resolve().parents[1] / ".bench"


@contextmanager
def room(name: str) -> Iterator[Path]:
    """An empty folder on the project's own file system, gone afterwards."""
    PLACE.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=PLACE))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def section(name: str, measure: Measure) -> None:
    """Runs one section and shows its rows."""
    together([(name, measure)])


def together(sections: Sequence[tuple[str, Measure]]) -> None:
    """Runs sections one after the other, then shows and writes their rows."""
    parser = argparse.ArgumentParser(description="Figures of this machine; never a test.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes; bounds are not judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table of the documentation")
    options = parser.parse_args()
    rows, about = list[Row](), machine(PLACE.parent)
    for name, measure in sections:
        with room(name) as folder:
            rows += measure(QUICK if options.quick else FULL, folder)
    show(unjudged(rows) if options.quick else rows, about)
    if options.json is not None:
        write(rows, about, options.json)
    if options.markdown is not None:
        options.markdown.write_text(markdown(rows, about), "utf-8")
