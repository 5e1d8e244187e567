"""What an index of memories holds: frozen records, compared by value."""

from __future__ import annotations

import pytest

from flyball.core.memory_index import Cursor, Drop, Found, Held, Indexed, Sought
from flyball.core.useful import Usage

ROW = Indexed(id="m-1", record="r", owner="o", by="b", about=("a",), words=("w",), created=1, expires=2, bytes=3)


def test_a_fresh_cursor_stands_before_the_log() -> None:
    assert Cursor() == Cursor(index=-1, epoch=0, model="")


def test_what_an_index_holds_cannot_be_changed() -> None:
    for value in (ROW, Drop("m-1"), Found(row=ROW), Sought(owner="o", words=(), now=0, limit=1)):
        with pytest.raises(AttributeError):
            value.id = "m-2"  # type: ignore[union-attr, misc]
    assert Held(cursor=Cursor(), tenant=Usage(items=0, bytes=0), principal=Usage(items=0, bytes=0)).cursor.index == -1
