"""The words of an append: frozen records that a journal stores as they are."""

from __future__ import annotations

import typing

import msgspec
import pytest

from flyball.core import journal
from flyball.core.budget import UNLIMITED, Amounts
from flyball.core.journal import INDEXED, ROWS, Append, Hold, HoldRow, PendingRow, Row, RunRow

FILLED = {
    "str": "x", "int": 1, "bool": True, "bytes": b"\0", "Amounts": Amounts(usd=1),
    "tuple[Hold, ...]": (Hold(node="n", amounts=Amounts()),),
    "tuple[str, ...]": ("a",), "tuple[Mapping[str, Any], ...]": ({"by": "p"},),
}  # fmt: skip


def filled(kind: type[Row]) -> Row:
    return kind(**{name: FILLED[shown] for name, shown in kind.__annotations__.items() if name != "TABLE"})


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_is_stored_and_read_back_as_it_was(kind: type[Row]) -> None:
    row = filled(kind)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=kind) == row


def test_every_kind_of_row_has_a_table_of_its_own() -> None:
    assert set(ROWS) == set(typing.get_args(Row))
    assert len({kind.TABLE for kind in ROWS}) == len(ROWS)


def test_only_columns_that_rows_have_are_indexed() -> None:
    columns = {kind.TABLE: set(kind.__struct_fields__) for kind in ROWS}
    assert all(set(names) <= columns[table] for table, names in INDEXED.items())


def test_an_append_that_asks_for_nothing_fences_claims_and_moves_nothing() -> None:
    append = Append(id="a", tenant="t")
    assert append.fence is append.reserve is append.settle is append.consume is None
    assert not (append.entries or append.epochs or append.raises or append.claims or append.put or append.wakes)
    assert not append.urgent and not append.relaxed


def test_what_waits_is_denied_unless_it_says_otherwise() -> None:
    assert PendingRow(id="p", run="r", path="1", kind="approval", state="open").default == "deny"


def test_a_hold_without_a_limit_counts_and_refuses_nothing() -> None:
    assert Hold(node="n", amounts=Amounts(calls=1)).limit == UNLIMITED
    assert HoldRow(id="i", holds=()).holds == ()


def test_records_of_the_journal_cannot_be_changed() -> None:
    records = [v for v in vars(journal).values() if isinstance(v, type) and issubclass(v, msgspec.Struct)]
    assert RunRow in records and all(r.__struct_config__.frozen for r in records)
