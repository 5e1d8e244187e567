"""Which appends may be. The state here is rows in dicts: what a journal looks up, without one."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flyball.core.admission import MAX_APPEND, Admission, Admitted, RowKey, admit, malformed
from flyball.core.budget import Amounts, Limit
from flyball.core.journal import (
    Append,
    Appended,
    BudgetRow,
    Claim,
    ClaimRow,
    Conflict,
    Consume,
    Entry,
    EpochRow,
    Fence,
    Hold,
    HoldRow,
    KeyRow,
    PendingRow,
    Refused,
    Reserve,
    Row,
    RunRow,
    Seen,
    Settle,
)
from flyball.core.merkle import leaf_hash
from flyball.core.record import MAX_LEAF, record_id

R = TypeVar("R", bound=Row)


class State:
    """A journal's memory, reduced to what admission asks."""

    def __init__(self, *rows: Row) -> None:
        self.rows: dict[RowKey, Row] = {(type(row), row.id): row for row in rows}
        self.steps: set[str] = set()
        self.answers: dict[str, Appended] = {}
        self.id = ""

    def log(self) -> str:
        return self.id

    def row(self, kind: type[R], id: str) -> R | None:
        return self.rows.get((kind, id))  # type: ignore[return-value]

    def has_record(self, id: str) -> bool:
        return id in self.steps

    def appended(self, id: str) -> Appended | None:
        return self.answers.get(id)

    def ask(self, **parts: Any) -> Admission:
        """Admits and applies."""
        parts.setdefault("id", f"a{len(self.answers)}")
        append = Append(tenant="acme", **parts)
        answer = admit(append, self)
        if isinstance(answer, Admitted):
            self.steps |= {entry.id for entry in append.entries}
            for key, row in answer.changes.items():
                self.rows.pop(key, None)
                if row is not None:
                    self.rows[key] = row
            self.answers[append.id] = Appended(first=0, size=len(self.steps), run=answer.run)
        return answer


def entry(path: str = "1", leaf: bytes = b"{}", **parts: Any) -> Entry:
    given: dict[str, Any] = {"run": "r", "kind": "intent", "attempt": 1, "time": 1, "hash": leaf_hash(leaf)} | parts
    given.setdefault("id", record_id(given["run"], path, given["attempt"], given["kind"]))
    return Entry(path=path, leaf=leaf, **given)


def run(state: str = "running", **parts: Any) -> RunRow:
    return RunRow(id="r", kind="flow", what="refund", state=state, **({"epoch": 1} | parts))


def ask_row(state: str, **parts: Any) -> PendingRow:
    return PendingRow(id="p", run="r", path="1", kind="approval", state=state, **parts)


MINE = Fence("r", 1)


# the append alone ---------------------------------------------------------------------------------------------------
def test_ids_in_any_script_are_well_formed() -> None:
    assert malformed(Append(id="ä", tenant="t", entries=(entry("1", run="läuft"),))) is None


def test_a_whole_append_is_well_formed() -> None:
    hold = Hold(node="acme", amounts=Amounts(usd=1))
    assert malformed(Append(
        id="a", tenant="t", entries=(entry("1"), entry("2", payload=b"x", bodies=(("m", b"y"),))), put=(run(),),
        claims=(Claim(scope="s", key="k|l", digest="d", owner="o"),), reserve=Reserve(id="i", holds=(hold,)),
        settle=Settle(id="j", actual=Amounts(usd=1)),
    )) is None  # fmt: skip


@pytest.mark.promise("journal-four-answers")
@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"entries": (entry(), entry())}, "twice"),
        ({"entries": (entry(kind="gossip"),)}, "no kind"),
        ({"entries": (entry(run="a/b"),)}, "range"),
        ({"entries": (entry(attempt=-1),)}, "range"),
        ({"entries": (entry(time=2**63),)}, "range"),
        ({"entries": (entry(id="other"),)}, "run/path/attempt/kind"),
        ({"entries": (entry("\ud800"),)}, "Unicode"),
        ({"entries": (entry(hash=bytes(32)),)}, "hash"),
        ({"id": ""}, "an id"),
        ({"tenant": "\ud800"}, "an id"),
        ({"claims": (Claim(scope="a|b", key="k", digest="d", owner="o"),)}, "scope"),
        ({"reserve": Reserve(id="i", holds=(Hold(node="n", amounts=Amounts(usd=-1)),))}, "reservation"),
        ({"settle": Settle(id="i", actual=Amounts(tokens=2**53))}, "settlement"),
        ({"put": (BudgetRow(id="n"),)}, "budget"),
        ({"put": (EpochRow(id="kill", value=0),)}, "epoch"),
        ({"put": (run("asleep"),)}, "no state"),
        ({"put": (run(), run("ready"))}, "twice"),
    ],
)
def test_what_is_wrong_whatever_is_stored_is_invalid(parts: dict[str, Any], word: str) -> None:
    answer = malformed(Append(**({"id": "a", "tenant": "t"} | parts)))
    assert answer is not None
    assert answer.reason == "invalid"
    assert word in answer.detail


def test_a_leaf_that_is_too_large_is_refused() -> None:
    answer = malformed(Append(id="a", tenant="t", entries=(entry(leaf=b"x" * (MAX_LEAF + 1)),)))
    assert answer is not None and answer.reason == "too_large"


def test_an_append_that_is_too_large_is_refused() -> None:
    body = bytes(MAX_APPEND // 2)
    answer = malformed(Append(id="a", tenant="t", entries=(entry(payload=body, bodies=(("m", body),)),)))
    assert answer is not None and answer.reason == "too_large"


# repeated -----------------------------------------------------------------------------------------------------------
def test_a_known_append_is_answered_as_before_with_the_run_as_it_is() -> None:
    state = State(run())
    first = state.ask(id="a", fence=MINE, entries=(entry(),))
    state.ask(id="b", take="r")
    again = state.ask(id="a", fence=MINE, entries=(entry(),))
    assert isinstance(first, Admitted)
    assert again == Appended(first=0, size=1, run=run(epoch=2), repeated=True)


def test_a_known_append_about_no_run_has_none() -> None:
    state = State()
    state.ask(id="a")
    assert state.ask(id="a") == Appended(first=0, size=0, repeated=True)


# the log -------------------------------------------------------------------------------------------------------------
def test_a_log_is_opened_once_under_its_id() -> None:
    state = State()
    assert isinstance(state.ask(log="x"), Admitted)
    state.id = "x"
    assert isinstance(state.ask(log="x"), Admitted)
    answer = state.ask(log="y")
    assert isinstance(answer, Conflict) and (answer.what, answer.held) == ("log", "x")


# fence and takeover -------------------------------------------------------------------------------------------------
def test_the_driver_may_append_and_learns_its_row() -> None:
    assert State(run(inbox=3)).ask(fence=MINE) == Admitted(changes={}, run=run(inbox=3))


@pytest.mark.promise("journal-four-answers")
def test_a_moved_fence_names_the_epoch_that_holds() -> None:
    answer = State(run(epoch=4)).ask(fence=MINE)
    assert isinstance(answer, Conflict)
    assert (answer.what, answer.held) == ("fence", "4")


@pytest.mark.parametrize("parts", [{"fence": MINE}, {"take": "r"}])
def test_a_run_that_is_not_there_has_no_driver(parts: dict[str, Any]) -> None:
    answer = State().ask(**parts)
    assert isinstance(answer, Conflict) and answer.what == "fence"


@pytest.mark.parametrize("parts", [{"fence": MINE}, {"take": "r"}, {"put": (run(),)}])
def test_an_ended_run_takes_no_more(parts: dict[str, Any]) -> None:
    answer = State(run("ended", reason="killed")).ask(**parts)
    assert answer == Conflict(what="ended", held="r", detail="killed")


@pytest.mark.parametrize("before", ["running", "waiting", "ready"])
def test_taking_over_raises_the_epoch_and_makes_running(before: str) -> None:
    state = State(run(before))
    assert state.ask(take="r") == Admitted(changes={(RunRow, "r"): run(epoch=2)}, run=run(epoch=2))


def test_a_takeover_can_end_the_run_at_once() -> None:
    answer = State(run("waiting")).ask(take="r", put=(run("ended", epoch=0, reason="stopped"),))
    assert isinstance(answer, Admitted)
    assert answer.run == run("ended", epoch=2, reason="stopped")


# epochs, steps, claims -----------------------------------------------------------------------------------------------
def test_an_epoch_that_never_moved_is_zero() -> None:
    assert isinstance(State().ask(epochs=(Seen("kill", 0),)), Admitted)
    assert State().ask(epochs=(Seen("kill", 1),)) == Conflict(what="epoch:kill", held="0")


@pytest.mark.promise("journal-t1-checks-epochs")
def test_a_raised_epoch_conflicts_with_who_read_the_old_one() -> None:
    state = State()
    state.ask(epochs=(Seen("kill", 0),), raises=("kill", "kill"))
    assert state.ask(epochs=(Seen("kill", 0),)) == Conflict(what="epoch:kill", held="2")


def test_a_step_is_recorded_once() -> None:
    state = State()
    state.ask(entries=(entry(),))
    assert state.ask(entries=(entry("2"), entry())) == Conflict(what="step", held="r/1/1/intent")


def claiming(digest: str = "d", owner: str = "o") -> dict[str, Any]:
    return {"claims": (Claim(scope="s", key="k", digest=digest, owner=owner),)}


def test_the_same_claim_by_the_same_owner_is_fine() -> None:
    state = State()
    assert state.ask(**claiming()) == Admitted(changes={(ClaimRow, "s|k"): ClaimRow(id="s|k", digest="d", owner="o")})
    assert state.ask(**claiming()) == Admitted(changes={})


@pytest.mark.parametrize("other", [claiming(owner="x"), claiming(digest="x")])
def test_another_claim_names_who_holds_it(other: dict[str, Any]) -> None:
    state = State()
    state.ask(**claiming())
    answer = state.ask(**other)
    assert isinstance(answer, Conflict)
    assert (answer.what, answer.held) == ("claim", "o")


@pytest.mark.parametrize(("owner", "answer"), [("o", {(ClaimRow, "s|k"): None}), ("x", {})])
def test_a_claim_is_given_back_by_its_owner_only(owner: str, answer: dict[Any, Any]) -> None:
    state = State()
    state.ask(**claiming())
    assert state.ask(unclaim=claiming(owner=owner)["claims"]) == Admitted(changes=answer)


# approvals ----------------------------------------------------------------------------------------------------------
def test_a_decision_finds_the_version_it_expects() -> None:
    state = State(ask_row("open", version=3))
    assert isinstance(state.ask(expect=(("p", 3), ("none", 0))), Admitted)
    assert state.ask(expect=(("p", 2),)) == Conflict(what="pending", held="3", detail="p")


def test_a_granted_approval_is_consumed_and_its_version_moves() -> None:
    state = State(ask_row("granted", version=2))
    state.ask(consume=Consume(pending="p", version=2, intent="i"))
    assert state.row(PendingRow, "p") == ask_row("consumed", version=3, intent="i")
    assert state.ask(consume=Consume(pending="p", version=3, intent="i")) == Admitted(changes={})


@pytest.mark.parametrize(
    ("stored", "version"),
    [
        (ask_row("open"), 1),
        (ask_row("void"), 1),
        (ask_row("granted"), 2),
        (ask_row("consumed", intent="j"), 1),
        (run(), 1),
    ],
)
def test_what_is_not_granted_at_that_version_is_not_consumed(stored: Row, version: int) -> None:
    answer = State(stored).ask(consume=Consume(pending="p", version=version, intent="i"))
    assert isinstance(answer, Conflict) and answer.what == "pending"


@pytest.mark.parametrize(("before", "after"), [("consumed", "granted"), ("void", "open"), ("rejected", "granted")])
def test_a_closed_approval_is_not_opened_by_writing_its_row(before: str, after: str) -> None:
    answer = State(ask_row(before)).ask(put=(ask_row(after),))
    assert answer == Conflict(what="pending", held=before, detail="p")


def test_a_new_ask_is_written() -> None:
    assert State().ask(put=(ask_row("open"),)) == Admitted(changes={(PendingRow, "p"): ask_row("open")})


def test_an_older_version_does_not_overwrite() -> None:
    assert State(ask_row("open", version=3)).ask(put=(ask_row("open", version=2),)) == Conflict(
        what="pending", held="3", detail="p"
    )


@pytest.mark.parametrize(("before", "after"), [("open", "granted"), ("granted", "void"), ("asked", "answered")])
def test_a_decision_that_the_table_allows_is_written(before: str, after: str) -> None:
    state = State(ask_row(before))
    state.ask(put=(ask_row(after, version=2),))
    assert state.row(PendingRow, "p") == ask_row(after, version=2)


# rows of runs -------------------------------------------------------------------------------------------------------
def test_other_rows_are_written_as_they_are() -> None:
    key = KeyRow(id="k", person="anna", groups=("finance",), public="ed25519", created=1)
    assert State().ask(put=(key,)) == Admitted(changes={(KeyRow, "k"): key})


def test_a_run_that_is_there_is_only_written_by_its_driver() -> None:
    answer = State(run()).ask(put=(run(reason="mine now"),))
    assert isinstance(answer, Conflict)
    assert (answer.what, answer.held) == ("fence", "1")


def test_a_driver_starts_other_runs() -> None:
    other = RunRow(id="child", kind="flow", what="x", state="ready", parent="r")
    assert State(run()).ask(fence=MINE, put=(other,)) == Admitted(changes={(RunRow, "child"): other}, run=run())


def test_epoch_and_inbox_survive_what_a_driver_writes() -> None:
    answer = State(run(inbox=5)).ask(fence=MINE, put=(run(epoch=9, inbox=0, reason="x"),))
    assert isinstance(answer, Admitted)
    assert answer.run == run(inbox=5, reason="x")


@pytest.mark.promise("journal-parking-sleeps-over-nothing")
@pytest.mark.parametrize(("arrived", "after"), [(2, "waiting"), (3, "ready")])
def test_parking_does_not_sleep_over_what_arrived(arrived: int, after: str) -> None:
    answer = State(run(inbox=arrived)).ask(fence=MINE, put=(run("waiting"),), inbox_seen=2)
    assert isinstance(answer, Admitted)
    assert answer.run == run(after, inbox=arrived)


@pytest.mark.parametrize(
    ("before", "after", "seen"), [("running", "waiting", -1), ("waiting", "running", 0), ("running", "ready", 0)]
)
def test_a_move_that_is_not_the_drivers_is_refused(before: str, after: str, seen: int) -> None:
    answer = State(run(before)).ask(fence=MINE, put=(run(after),), inbox_seen=seen)
    assert isinstance(answer, Refused) and answer.reason == "invalid"


@pytest.mark.promise("journal-inbox-moves-no-fence")
@pytest.mark.parametrize(("before", "after"), [("running", "running"), ("waiting", "ready"), ("ready", "ready")])
def test_waking_adds_to_the_inbox_and_never_moves_the_fence(before: str, after: str) -> None:
    state = State(run(before))
    state.ask(wakes=("r", "r"))
    assert state.row(RunRow, "r") == run(after, inbox=2)


def test_an_ended_run_is_not_woken_and_an_unknown_one_is_refused() -> None:
    assert State(run("ended")).ask(wakes=("r",)) == Admitted(changes={})
    answer = State().ask(wakes=("r",))
    assert isinstance(answer, Refused) and answer.reason == "invalid"


# budgets ------------------------------------------------------------------------------------------------------------
def reserving(id: str, usd: int, limit: int = 100, nodes: tuple[str, ...] = ("acme", "acme/r")) -> Reserve:
    return Reserve(id=id, holds=tuple(Hold(node=n, amounts=Amounts(usd=usd), limit=Limit(usd=limit)) for n in nodes))


@pytest.mark.promise("gate-budgets-are-a-tree")
def test_every_node_grants_or_none_does() -> None:
    state = State(BudgetRow(id="acme/r", spent=Amounts(usd=50)))
    assert state.ask(reserve=reserving("i", 60)) == Refused(reason="budget", detail="acme/r:usd")
    assert state.row(BudgetRow, "acme") is None


def test_one_node_named_twice_counts_twice() -> None:
    answer = State().ask(reserve=reserving("i", 60, nodes=("acme", "acme")))
    assert answer == Refused(reason="budget", detail="acme:usd")


def test_a_reservation_again_is_the_same_and_another_under_its_id_is_refused() -> None:
    state = State()
    state.ask(reserve=reserving("i", 60))
    assert state.ask(reserve=reserving("i", 60)) == Admitted(changes={})
    answer = state.ask(reserve=reserving("i", 10))
    assert isinstance(answer, Refused) and answer.reason == "invalid"


@pytest.mark.promise("gate-unknown-keeps-its-reservation")
def test_the_first_settlement_stands() -> None:
    state = State()
    state.ask(reserve=reserving("i", 60))
    for actual in (70, 5):
        state.ask(settle=Settle(id="i", actual=Amounts(usd=actual)))
    assert state.row(BudgetRow, "acme") == BudgetRow(id="acme", spent=Amounts(usd=70))
    assert state.row(HoldRow, "i") is None


def test_settling_makes_room_for_what_the_same_append_reserves() -> None:
    state = State()
    state.ask(reserve=reserving("i", 60))
    assert isinstance(state.ask(settle=Settle(id="i"), reserve=reserving("j", 100)), Admitted)


def test_a_reservation_can_be_settled_in_its_own_append() -> None:
    state = State()
    state.ask(reserve=reserving("i", 60), settle=Settle(id="i", actual=Amounts(usd=7)))
    assert state.row(BudgetRow, "acme") == BudgetRow(id="acme", spent=Amounts(usd=7))
    assert state.ask(reserve=reserving("k", 94), settle=Settle(id="k")) == Refused(reason="budget", detail="acme:usd")


def test_what_is_settled_without_an_amount_was_used_as_it_was_reserved() -> None:
    state, parts = State(), {"acme": Amounts(ms=5), "acme/r": Amounts(ms=3)}
    holds = tuple(Hold(node=node, amounts=amounts) for node, amounts in parts.items())
    state.ask(reserve=Reserve(id="i", holds=holds), settle=Settle(id="i", actual=None))
    assert [state.row(BudgetRow, n) for n in parts] == [BudgetRow(id=n, spent=parts[n]) for n in parts]


# what waits for people ----------------------------------------------------------------------------------------------
def counting(id: str, state: str = "open", version: int = 1, **limit: int) -> PendingRow:
    hold = Hold(node="t", amounts=Amounts(asks=1, open_approvals=1), limit=Limit(**limit))
    return replace(ask_row(state, version=version, counts=(hold,)), id=id)


@pytest.mark.promise("gate-caps-per-tenant")
def test_what_is_asked_counts_until_it_is_open_no_more_and_as_an_ask_after_that() -> None:
    state = State()
    state.ask(put=(counting("p", open_approvals=1),))
    held = Amounts(asks=1, open_approvals=1)
    assert state.row(BudgetRow, "t") == BudgetRow(id="t", reserved=held)
    assert state.ask(put=(counting("q", open_approvals=1),)) == Refused(reason="budget", detail="t:open_approvals")
    assert state.row(PendingRow, "q") is None
    state.ask(put=(counting("p", version=2),))  # one of two has signed
    assert state.row(BudgetRow, "t") == BudgetRow(id="t", reserved=held)
    state.ask(put=(counting("p", "granted", version=3),))
    assert state.row(BudgetRow, "t") == BudgetRow(id="t", spent=Amounts(asks=1))
    assert isinstance(state.ask(put=(counting("q", open_approvals=1),)), Admitted)
    assert state.ask(put=(counting("s", asks=2),)) == Refused(reason="budget", detail="t:asks")


def test_what_a_row_counts_as_is_said_once_and_released_once() -> None:
    state = State()
    state.ask(put=(counting("p"),))
    state.ask(put=(replace(counting("p", "granted", version=2), counts=()),))
    state.ask(consume=Consume(pending="p", version=2, intent="i"))
    row = state.row(PendingRow, "p")
    assert row is not None and row.counts == (Hold(node="t", amounts=Amounts(asks=1, open_approvals=1)),)
    assert state.row(BudgetRow, "t") == BudgetRow(id="t", spent=Amounts(asks=1))


def test_what_is_not_open_at_first_counts_nowhere() -> None:
    state = State()
    state.ask(put=(counting("p", "void"),))
    assert state.row(PendingRow, "p") is not None and state.row(BudgetRow, "t") is None


def test_what_a_row_counts_as_is_no_negative_amount() -> None:
    row = ask_row("open", counts=(Hold(node="t", amounts=Amounts(asks=-1)),))
    answer = malformed(Append(id="a", tenant="acme", put=(row,)))
    assert answer is not None and answer.reason == "invalid"


# properties ---------------------------------------------------------------------------------------------------------
STEP = st.tuples(st.sampled_from("abcd"), st.integers(0, 40), st.integers(0, 40), st.booleans(), st.booleans())


@pytest.mark.promise("gate-no-overspend")
@given(st.lists(STEP, max_size=40))
def test_no_budget_is_overspent_or_negative_under_any_sequence(steps: list[tuple[str, int, int, bool, bool]]) -> None:
    state, wanted = State(), dict[str, int]()
    for id, usd, actual, reserve, settle in steps:
        held = state.row(HoldRow, id)
        amount = held.holds[0].amounts.usd if held else usd
        settled = Settle(id=id, actual=Amounts(usd=min(actual, amount))) if settle else None
        state.ask(reserve=reserving(id, usd) if reserve else None, settle=settled)
        open_holds = [row for row in state.rows.values() if isinstance(row, HoldRow)]
        holds = [hold for row in open_holds for hold in row.holds]
        wanted = {n: sum(hold.amounts.usd for hold in holds if hold.node == n) for n in ("acme", "acme/r")}
        for row in (row for row in state.rows.values() if isinstance(row, BudgetRow)):
            assert min(row.reserved.usd, row.spent.usd) >= 0
            assert row.reserved.usd + row.spent.usd <= 100
            assert row.reserved.usd == wanted[row.id]


@pytest.mark.promise("gate-caps-per-tenant")
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["open", "void", "rejected"])), max_size=40))
def test_no_cap_on_what_is_open_is_passed_and_what_is_open_is_what_counts(moves: list[tuple[str, str]]) -> None:
    state, asked = State(), set[str]()
    for id, to in moves:
        before = state.row(PendingRow, id)
        state.ask(put=(counting(id, to, version=1 if before is None else before.version + 1, open_approvals=3),))
        asked |= {row.id for row in state.rows.values() if isinstance(row, PendingRow) and row.state == "open"}
        rows = [row for row in state.rows.values() if isinstance(row, PendingRow)]
        node = state.row(BudgetRow, "t") or BudgetRow(id="t")
        assert node.reserved.open_approvals == sum(row.state == "open" for row in rows) <= 3
        assert node.spent == Amounts(asks=sum(row.state != "open" and row.id in asked for row in rows))


ONCE: dict[str, dict[str, Any] | None] = {
    "fence": {"fence": MINE, "take": "r"},
    "step": {"entries": (entry(),)},
    "claim": None,
    "approval": {"expect": (("p", 1),), "put": (ask_row("void", version=2),)},
}


@given(st.sampled_from(sorted(ONCE)), st.integers(2, 6))
def test_of_many_that_want_the_same_one_wins(what: str, count: int) -> None:
    state = State(run(), ask_row("granted"))
    answers = [state.ask(id=f"x{n}", **(ONCE[what] or claiming(owner=f"o{n}"))) for n in range(count)]
    assert [isinstance(answer, Admitted) for answer in answers] == [True] + [False] * (count - 1)


@pytest.mark.promise("journal-appends-have-an-id")
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_however_often_an_append_comes_it_counts_once(ids: list[str]) -> None:
    state = State(run())
    for id in ids:
        state.ask(id=id, entries=(entry(id),), raises=("kill",), wakes=("r",), reserve=reserving(id, 10))
    distinct = len(set(ids))
    assert state.row(EpochRow, "kill") == EpochRow(id="kill", value=distinct)
    assert state.row(RunRow, "r") == run(inbox=distinct)
    assert state.row(BudgetRow, "acme") == BudgetRow(id="acme", reserved=Amounts(usd=10 * distinct))


EVENT = st.sampled_from(["take", "park", "wake", "end", "append"])


@given(st.lists(st.tuples(EVENT, st.integers(0, 3)), max_size=30))
def test_epoch_and_inbox_only_grow_and_nothing_follows_the_end(events: list[tuple[str, int]]) -> None:
    state, before = State(run()), run()
    for event, seen in events:
        fence = Fence("r", before.epoch)
        parts: dict[str, dict[str, Any]] = {
            "take": {"take": "r"}, "wake": {"wakes": ("r",)}, "append": {"fence": fence},
            "park": {"fence": fence, "put": (run("waiting"),), "inbox_seen": seen},
            "end": {"fence": fence, "put": (run("ended"),)},
        }  # fmt: skip
        state.ask(**parts[event])
        after = state.row(RunRow, "r")
        assert after is not None
        assert after.epoch >= before.epoch and after.inbox >= before.inbox
        assert before.state != "ended" or after == before
        assert not (after.state == "waiting" and before.state == "running" and after.inbox > seen)
        before = after
