"""A page that names a test names one that there is."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)")
PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if NAMED.search(page.read_text("utf-8"))]


@cache
def defined(path: str) -> frozenset[str]:
    """The tests of a file; none where it is not there."""
    file = ROOT / path
    body = ast.parse(file.read_text("utf-8")).body if file.is_file() else []
    return frozenset(n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    named = NAMED.findall(page.read_text("utf-8"))
    assert [f"{path}::{name}" for path, name in named if name not in defined(path)] == []


def test_every_row_of_what_failed_elsewhere_names_a_test_or_says_why_not() -> None:
    page = (ROOT / "docs/reference/measured-elsewhere.md").read_text("utf-8")
    last = [line.strip("| ").split(" | ")[-1] for line in page.splitlines() if line.startswith("| ")]
    cells = [cell for cell in last if cell != "test, or why not yet"]
    assert [cell for cell in cells if not NAMED.search(cell) and not re.match("(not yet|a figure): ", cell)] == []
    assert len(cells) > 50
