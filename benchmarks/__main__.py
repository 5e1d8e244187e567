"""Every section, one after the other: `make bench`, or `python -m benchmarks [--quick] [--json FILE]`."""

from __future__ import annotations

from benchmarks.section import together
from benchmarks.sections import SECTIONS

if __name__ == "__main__":
    together(SECTIONS)
