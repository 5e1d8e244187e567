"""Promises: none is without a test that carries it, no test carries one that is not written down."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.house.promises import DOC, ROOT, ROW, Carrier, built, carriers, not_yet, rewritten, sources

DOCUMENT = DOC.read_text()
ID = re.compile(r"(gate|journal|api)(-[a-z0-9]+)+")
AGAIN = "make promises"


@pytest.fixture(scope="module")
def carried() -> list[Carrier]:
    return carriers(sources())


def test_every_promise_that_is_built_has_a_test(carried: list[Carrier]) -> None:
    assert sorted(built(DOCUMENT).keys() - {each.promise for each in carried}) == []


def test_every_promise_that_a_test_carries_is_written_down_as_built(carried: list[Carrier]) -> None:
    known = built(DOCUMENT)
    assert [f"{each} carries {each.promise}" for each in carried if each.promise not in known] == []


def test_the_document_names_the_tests_that_carry_each_promise(carried: list[Carrier]) -> None:
    assert rewritten(DOCUMENT, carried) == DOCUMENT, AGAIN


def test_promises_have_short_speaking_names_of_their_own() -> None:
    names = [id for id, _, _ in ROW.findall(DOCUMENT)]
    assert [id for id, count in Counter(names).items() if count > 1 or not ID.fullmatch(id) or len(id) > 48] == []
    assert len(names) == sum(line.startswith("| `") for line in DOCUMENT.splitlines()), "a row that is none"


def test_a_case_that_is_named_is_there(carried: list[Carrier]) -> None:
    kit = "\n".join(file.read_text() for file in (ROOT / "src/flyball/testing/conformance").glob("*.py"))
    texts = {path: text for path, text in sources().items() if path in {each.path for each in carried}}
    missing = [each for each in carried if each.case and f"def {each.case}(" not in kit + texts[each.path]]
    assert [str(each) for each in missing if f'"{each.case}"' not in texts[each.path]] == []


# The rules see what they are for --------------------------------------------------------------------------------------
ONE = """
@pytest.mark.parametrize("n", [1])
@pytest.mark.promise("gate-a", "gate-b")
async def test_one(n): ...

@pytest.mark.promise("gate-a", case="law")
def test_two(): ...
"""
TABLE = """
| id | promise | held by |
|---|---|---|
| `gate-a` | A holds. | `tests/test_x.py::test_gone` |
| `gate-c` | C holds. | |

## Not yet

| id | promise |
|---|---|
| `gate-b` | B will hold. |
"""


def test_marks_are_read() -> None:
    told = [(each.promise, str(each)) for each in carriers({"x.py": ONE})]
    assert told == [("gate-a", "x.py::test_one"), ("gate-b", "x.py::test_one"), ("gate-a", "x.py::test_two[law]")]


def test_rows_are_read() -> None:
    assert built(TABLE) == {"gate-a": "`tests/test_x.py::test_gone`", "gate-c": ""}
    assert not_yet(TABLE) == ["gate-b"]


def test_the_column_of_tests_is_written_and_nothing_else() -> None:
    again = rewritten(TABLE, carriers({"x.py": ONE}))
    assert built(again) == {"gate-a": "`x.py::test_one`<br>`x.py::test_two[law]`", "gate-c": ""}
    assert again.partition("## Not yet")[2] == TABLE.partition("## Not yet")[2]
    assert rewritten(again, carriers({"x.py": ONE})) == again
