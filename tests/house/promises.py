"""The promises of docs/promises.md, and the tests that carry them; run as a module, it writes the column of tests.

A test carries promises by `@pytest.mark.promise("id", ...)`. Where only one case of a parametrised test holds them, the
mark names it: `@pytest.mark.promise("id", case="denies_by_default")`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "promises.md"
ROW = re.compile(r"^\| `([^`]*)` \| ([^|]*?) \|(?: ([^|]*?) ?\|)?$", re.M)
NOT_YET = "## Not yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A test that carries a promise: where it stands and, of a parametrised test, which case holds it."""

    promise: str
    path: str
    test: str
    case: str = ""

    def __str__(self) -> str:
        return f"{self.path}::{self.test}" + (f"[{self.case}]" if self.case else "")


def sources(root: Path = ROOT) -> dict[str, str]:
    """Every test file below `tests`, by its path from the root."""
    return {file.relative_to(root).as_posix(): file.read_text() for file in sorted((root / "tests").rglob("test_*.py"))}


def carriers(files: Mapping[str, str]) -> list[Carrier]:
    """What the tests of these files carry, in the order in which they stand."""
    return [each for path, text in files.items() if "mark.promise" in text for each in _in_file(path, text)]


def _in_file(path: str, text: str) -> Iterator[Carrier]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.promise":
                    case = next((ast.literal_eval(k.value) for k in mark.keywords if k.arg == "case"), "")
                    for each in mark.args:
                        yield Carrier(promise=ast.literal_eval(each), path=path, test=node.name, case=case)


def built(doc: str) -> dict[str, str]:
    """The promises that are built: what the document says holds each of them."""
    return {id: tests for id, _, tests in ROW.findall(doc.partition(NOT_YET)[0])}


def not_yet(doc: str) -> list[str]:
    """The promises that are not built."""
    return [id for id, _, _ in ROW.findall(doc.partition(NOT_YET)[2])]


def written(tests: Iterable[Carrier]) -> str:
    """The column of tests."""
    return "<br>".join(f"`{test}`" for test in tests)


def rewritten(doc: str, carried: Iterable[Carrier]) -> str:
    """The document with the tests that carry each promise that is built."""
    held: dict[str, list[Carrier]] = {}
    for each in carried:
        held.setdefault(each.promise, []).append(each)
    top, mark, rest = doc.partition(NOT_YET)
    return ROW.sub(lambda row: f"| `{row[1]}` | {row[2]} | {written(held.get(row[1], []))} |", top) + mark + rest


if __name__ == "__main__":
    DOC.write_text(rewritten(DOC.read_text(), carriers(sources())))
