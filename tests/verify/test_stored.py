"""What was done to records, payloads and nodes beside their leaves is found, each by its own check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from flyball.core.errors import FlyballError
from flyball.core.journal import Stored
from flyball.core.merkle import Frontier
from flyball.core.seal import Opening
from flyball.testing import Lab
from tests.verify.living import Spoiled, rooms, verified

Lived = tuple[Lab, list[Any]]
AT = 20


def found(living: Lived, **instead: Callable[..., Any]) -> dict[str, str]:
    """What is found where a view answers otherwise."""
    bench, moments = living
    view = Spoiled(moments[-1], **instead)
    return verified(rooms(bench), lambda: view)


def record(**changes: Any) -> Callable[..., list[Stored]]:
    """Answers with one record changed."""
    return lambda true, **_: [replace(one, **changes) if one.index == AT else one for one in true]


@pytest.mark.parametrize(
    "changes", [{"id": "x"}, {"kind": "late"}, {"time": 1}, {"run": "x"}, {"path": "9"}, {"attempt": 9}]
)
def test_a_record_is_kept_as_its_leaf_says(living: Lived, changes: dict[str, Any]) -> None:
    assert f"record {AT} is kept as" in found(living, records=record(**changes))["look-ups"]


def test_a_leaf_that_cannot_be_read_is_told(living: Lived) -> None:
    assert f"record {AT} cannot be read" in found(living, records=record(leaf=b"{"))["look-ups"]


def test_a_run_s_records_are_found_by_the_run(living: Lived) -> None:
    told = found(living, records=lambda true, run=None, **_: true[1:] if run == true[0].run else true)
    assert "are not found as they stand" in told["look-ups"]


def test_a_record_of_another_run_is_not_found_by_this_one(living: Lived) -> None:
    more = living[1][-1].records()[-2:]
    told = found(living, records=lambda true, run=None, **_: [*true, *more] if run and run != more[0].run else true)
    assert "are not found as they stand" in told["look-ups"]


def test_every_node_is_computed_again(living: Lived) -> None:
    def gone(true: bytes, level: int, index: int) -> bytes:
        if (level, index) == (2, 3):
            raise KeyError
        return true

    other = found(living, node=lambda true, level, index: true[::-1] if (level, index) == (1, 7) else true)
    assert other == {"look-ups": "node 7 of level 1 is not that of its records"}
    assert found(living, node=gone) == {"look-ups": "node 3 of level 2 is not that of its records"}


def test_the_tree_is_that_of_its_records(living: Lived) -> None:
    def other(true: tuple[str, Frontier]) -> tuple[str, Frontier]:
        return true[0], replace(true[1], hashes=(bytes(32), *true[1].hashes[1:]))

    longer = lambda true: (true[0], replace(true[1].append(bytes(32))))  # noqa: E731
    assert found(living, tree=other) == {"look-ups": "the tree's frontier is not that of its records"}
    assert "records are said to be there" in found(living, tree=longer)["look-ups"]


def test_a_record_that_is_gone_is_missed(living: Lived) -> None:
    told = found(living, records=lambda true, **_: [one for one in true if one.index != AT])
    assert "are said to be there" in told["look-ups"]


# payloads -------------------------------------------------------------------------------------------------------------
def opened(living: Lived, change: Callable[[Stored, dict[str, Opening]], Any]) -> dict[str, str]:
    """What is found where payloads open to something else."""
    bench, moments = living
    disclose = rooms(bench).record.disclose
    opens = lambda one: change(one, dict(disclose("local", one, moments[-1])))  # noqa: E731
    return verified(rooms(bench), lambda: moments[-1], opens)


def test_a_payload_that_is_gone_is_missed(living: Lived) -> None:
    at = next(one.index for one in living[1][-1].records() if one.kind == "intent")
    told = found(living, records=lambda true, **_: [replace(o, payload=None) if o.index == at else o for o in true])
    assert told["payloads"].startswith("the payload of") and told["payloads"].endswith("is gone")


def test_a_payload_opens_to_its_commitments(living: Lived) -> None:
    told = opened(living, lambda one, fields: {n: Opening(salt, data + b" ") for n, (salt, data) in fields.items()})
    assert "args of" in told["payloads"] and "is not what was committed to" in told["payloads"]


def test_a_payload_has_the_fields_of_its_leaf(living: Lived) -> None:
    fewer = opened(living, lambda one, fields: {n: f for n, f in fields.items() if n != "args"})
    assert "has other fields than its leaf" in fewer["payloads"]


def test_a_payload_that_does_not_open_is_told(living: Lived) -> None:
    def damaged(one: Stored, fields: object) -> Any:
        raise FlyballError("payload_damaged", "it does not open", "another key")

    assert "it does not open: another key" in opened(living, damaged)["payloads"]


def erased(one: Stored, fields: object) -> Any:
    raise LookupError


def test_what_was_erased_without_a_word_is_told(living: Lived) -> None:
    assert "the log tells of no erasure" in opened(living, erased)["payloads"]
