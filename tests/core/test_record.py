from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.canonical import decode
from flyball.core.commitment import check
from flyball.core.errors import FlyballError
from flyball.core.journal import Stored
from flyball.core.kinds import KINDS
from flyball.core.record import MAX_LEAF, Event, Opened, commitments, leaf, record_id, unopened

SALT = bytes(range(32))
words = st.text(st.characters(codec="ascii", exclude_characters="/"), max_size=8)
facts = st.dictionaries(words, words | st.integers(0, 9) | st.booleans() | st.lists(words, max_size=3), max_size=4)


def event(**more: object) -> Event:
    return Event(**{"kind": "intent", "run": "r-1", "path": "2", "attempt": 1, **more})  # type: ignore[arg-type]


@pytest.mark.promise("journal-step-recorded-once")
def test_a_record_is_named_by_run_path_attempt_and_kind() -> None:
    read = Opened(
        index=0, kind="intent", run="r-1", path="2", attempt=1, time=5, facts={}, commits={}, private=None
    )  # fmt: skip
    assert event().id == read.id == record_id("r-1", "2", 1, "intent") == "r-1/2/1/intent"


def test_a_record_of_no_run_is_the_logs_own() -> None:
    assert Event(kind="opened", path="log").id == "-/log/0/opened"


@pytest.mark.promise("journal-leaves-have-no-index")
def test_a_leaf_holds_the_envelope_and_nothing_private() -> None:
    written = leaf(event(facts={"action": "send"}, private={"args": {"to": "kim"}}), "acme", 5, {"args": "ab" * 32})
    assert decode(written) == {
        "v": 1, "id": "r-1/2/1/intent", "kind": "intent", "t": 5, "tenant": "acme", "run": "r-1", "path": "2",
        "attempt": 1, "facts": {"action": "send"}, "commit": {"args": "ab" * 32},
    }  # fmt: skip
    assert b"kim" not in written


@given(facts)
def test_a_leaf_is_canonical_by_an_independent_reader(told: dict[str, object]) -> None:
    written = leaf(event(facts=told), "acme", 5, {})
    assert rfc8785.dumps(decode(written)) == written


@given(st.sampled_from(sorted(KINDS)))
def test_every_kind_has_a_leaf(kind: str) -> None:
    assert decode(leaf(event(kind=kind), "acme", 5, {}))["kind"] == kind


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(FlyballError) as refused:
        leaf(event(kind="party"), "acme", 5, {})
    assert refused.value.code == "unknown_kind"


def test_a_leaf_has_a_greatest_size() -> None:
    empty = len(leaf(event(facts={"x": ""}), "acme", 5, {}))
    assert len(leaf(event(facts={"x": "y" * (MAX_LEAF - empty)}), "acme", 5, {})) == MAX_LEAF
    with pytest.raises(FlyballError) as refused:
        leaf(event(facts={"x": "y" * (MAX_LEAF - empty + 1)}), "acme", 5, {})
    assert refused.value.code == "leaf_too_large"


@pytest.mark.parametrize("bad", [1.5, b"raw", {"é": 1}, 2**53])
def test_facts_outside_the_profile_are_refused(bad: object) -> None:
    with pytest.raises(FlyballError) as refused:
        leaf(event(facts={"x": bad}), "acme", 5, {})
    assert refused.value.code == "not_canonical"


@pytest.mark.promise("journal-leaves-name-nobody")
def test_every_private_field_is_committed_to_under_its_salt() -> None:
    made = commitments({"args": b"{}", "request": b"[]"}, {"args": SALT, "request": bytes(32)})
    assert check(made["args"], "args", SALT, b"{}")
    assert check(made["request"], "request", bytes(32), b"[]")
    assert len(made) == 2


@pytest.mark.promise("journal-approval-commitments-repeat")
def test_one_salt_repeats_a_commitment_verbatim() -> None:
    assert commitments({"args": b"1"}, {"args": SALT}) == commitments({"args": b"1"}, {"args": SALT})


def test_a_record_that_is_left_closed_says_what_its_leaf_says() -> None:
    event = Event(kind="outcome", run="r", path="3", attempt=2, facts={"status": "executed"}, private={"result": 1})
    raw = leaf(event, "acme", 7, {"result": "ab"})
    stored = Stored(index=4, id=event.id, kind="outcome", run="r", path="3", attempt=2, time=7, leaf=raw, payload=b"x")
    read = unopened(stored)
    assert (read.id, read.index, read.time) == (event.id, 4, 7) and read.private == {}
    assert (read.facts, read.commits) == ({"status": "executed"}, {"result": "ab"})
