"""The promises of a journal, to run on any adapter.

Each promise is an async function of a `Store`; `PROMISES` lists them all. A store opens one journal at a time over the
same durable content, so that a promise can close it and look again:

    @pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
    def test_journal(promise, tmp_path):
        asyncio.run(promise(MyStore(tmp_path)))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from flyball.core.budget import Amounts, Limit
from flyball.core.errors import FlyballError
from flyball.core.journal import (
    Answered,
    Append,
    Appended,
    BlobRow,
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
    PendingRow,
    Refused,
    Reserve,
    RunRow,
    Seen,
    Settle,
)
from flyball.core.kinds import Kind
from flyball.core.merkle import Frontier, inclusion_proof, leaf_hash, root_from_leaves, verify_inclusion
from flyball.core.record import record_id
from flyball.ports.journal import Journal

TENANT: Final = "acme"


class Store(Protocol):
    """Durable content that a journal can be opened on."""

    def open(self) -> Journal:
        """A journal on what was durable when the last one was closed."""
        ...


Promise = Callable[[Store], Coroutine[Any, Any, None]]


# builders ------------------------------------------------------------------------------------------------------------
def entry(run: str, path: str, kind: Kind = "intent", *, time: int = 1, **parts: Any) -> Entry:
    """A record whose leaf says where it stands."""
    id = record_id(run, path, 1, kind)
    leaf = f'{{"id":"{id}"}}'.encode()
    return Entry(
        id=id, kind=kind, run=run, path=path, attempt=1, time=time, leaf=leaf, hash=leaf_hash(leaf), **parts
    )  # fmt: skip


def append(id: str, *entries: Entry, tenant: str = TENANT, **parts: Any) -> Append:
    """An append of one tenant."""
    return Append(id=id, tenant=tenant, entries=entries, **parts)


def run_row(id: str = "r", state: str = "running", **parts: Any) -> RunRow:
    """A run's row."""
    return RunRow(id=id, kind="flow", what="refund", state=state, **parts)


def started(id: str = "r") -> Append:
    """The start of a run, at epoch 1."""
    return append(f"start {id}", entry(id, "0", "run_started"), put=(run_row(id, epoch=1),))


@asynccontextmanager
async def opened(store: Store, *first: Append) -> AsyncGenerator[Journal, None]:
    """A journal that is closed at the end, after these appends."""
    journal = store.open()
    try:
        for one in first:
            done(await journal.append(one))
        yield journal
    finally:
        await journal.close()


def done(answer: Answered) -> Appended:
    """The answer, which has to be that the append is there."""
    assert isinstance(answer, Appended), answer
    return answer


def conflict(answer: Answered, what: str) -> Conflict:
    """The answer, which has to be this conflict."""
    assert isinstance(answer, Conflict), answer
    assert answer.what == what, answer
    return answer


def refused(answer: Answered, reason: str) -> Refused:
    """The answer, which has to be refused for this reason."""
    assert isinstance(answer, Refused), answer
    assert answer.reason == reason, answer
    return answer


# records and tree ----------------------------------------------------------------------------------------------------
async def an_appended_record_is_read_back(store: Store) -> None:
    """Leaf, payload, place and time come back as they were."""
    async with opened(store) as journal:
        one = entry("r", "1", payload=b"sealed", time=7)
        assert done(await journal.append(append("a", one))).size == 1
        (stored,) = journal.view(TENANT).records()
        assert (stored.index, stored.id, stored.leaf, stored.payload) == (0, one.id, one.leaf, b"sealed")
        assert (stored.kind, stored.run, stored.path, stored.attempt, stored.time) == ("intent", "r", "1", 1, 7)


async def an_unknown_tenant_is_empty(store: Store) -> None:
    """Looking makes nothing."""
    async with opened(store) as journal:
        view = journal.view("nobody")
        assert view.tree() == ("", Frontier())
        assert (view.records(), view.rows(RunRow), view.row(RunRow, "r"), view.body("m")) == ([], [], None, None)
        assert journal.tenants() == []


async def tenants_do_not_see_each_other(store: Store) -> None:
    """Ids, rows and logs of one tenant mean nothing in another."""
    async with opened(store) as journal:
        for tenant in ("a", "b"):
            row = run_row("r", session=tenant)
            done(await journal.append(append("x", entry("r", "1"), tenant=tenant, put=(row,))))
        assert journal.tenants() == ["a", "b"]
        a, b = journal.view("a"), journal.view("b")
        assert a.tree()[0] != b.tree()[0]
        assert (a.tree()[1].size, b.tree()[1].size) == (1, 1)
        assert [row.session for row in a.rows(RunRow)] == ["a"]


async def the_tree_is_that_of_the_leaves(store: Store) -> None:
    """Root and every inclusion proof, after appends of several sizes and after reopening."""
    async with opened(store) as journal:
        number = 0
        for size in (1, 2, 5, 1, 8, 3):
            entries = [entry("r", str(number + more)) for more in range(size)]
            number += size
            assert done(await journal.append(append(f"a{number}", *entries))).first == number - size
        log = journal.view(TENANT).tree()[0]
        assert log
    async with opened(store, append("last", entry("r", "last"))) as journal:
        view = journal.view(TENANT)
        id, frontier = view.tree()
        leaves = [leaf_hash(record.leaf) for record in view.records()]
        assert (id, frontier.size, frontier.root()) == (log, number + 1, root_from_leaves(leaves))
        for index, leaf in enumerate(leaves):
            proof = inclusion_proof(index, frontier.size, view.node)
            assert verify_inclusion(index, frontier.size, leaf, proof, frontier.root())


async def a_log_is_opened_under_the_id_it_is_given(store: Store) -> None:
    """Once; another id for a log that is open is a conflict."""
    async with opened(store, append("a", entry("-", "log", "opened"), log="x")) as journal:
        assert journal.view(TENANT).tree()[0] == "x"
        assert conflict(await journal.append(append("b", log="y")), "log").held == "x"


async def there_is_no_node_beyond_the_tree(store: Store) -> None:
    """A subtree that is not complete has no hash."""
    async with opened(store, append("a", *(entry("r", str(n)) for n in range(3)))) as journal:
        view = journal.view(TENANT)
        assert view.node(1, 0) and view.node(0, 2)
        for level, index in ((0, 3), (1, 1), (2, 0), (0, -1), (-1, 0)):
            try:
                view.node(level, index)
            except KeyError:
                continue
            raise AssertionError((level, index))


async def records_come_in_pages(store: Store) -> None:
    """By index after a cursor, of the tenant or of one run; a run whose name begins alike is another."""
    async with opened(store) as journal:
        for number in range(10):
            run = ("r-1", "r-10")[number % 2]
            done(await journal.append(append(f"a{number}", entry(run, str(number)))))
        view = journal.view(TENANT)
        assert [record.index for record in view.records(after=3, limit=4)] == [4, 5, 6, 7]
        assert [record.index for record in view.records(run="r-1")] == [0, 2, 4, 6, 8]
        assert [record.index for record in view.records(run="r-1", after=2, limit=2)] == [4, 6]
        assert view.records(after=9) == [] == view.records(run="r")


async def a_record_is_found_by_its_id(store: Store) -> None:
    """As it is in the snapshot: not by what its id begins with, and not before it is there."""
    async with opened(store) as journal:
        done(await journal.append(append("a1", entry("r-1", "1"), entry("r-1", "10"))))
        view = journal.view(TENANT)
        done(await journal.append(append("a2", entry("r-1", "2"))))
        (_, second) = view.records()
        assert view.record(second.id) == second
        assert [view.record(entry("r-1", path).id) for path in ("2", "100")] == [None, None]
        assert journal.view("other").record(second.id) is None


async def a_step_is_recorded_once(store: Store) -> None:
    """The second append with a step key is told which, in one batch and in later ones."""
    async with opened(store) as journal:
        answers = await asyncio.gather(*(journal.append(append(f"a{n}", entry("r", "1"))) for n in range(3)))
        assert sum(isinstance(answer, Appended) for answer in answers) == 1
        assert conflict(await journal.append(append("b", entry("r", "1"))), "step").held == "r/1/1/intent"
        assert journal.view(TENANT).tree()[1].size == 1


async def a_body_is_kept_once(store: Store) -> None:
    """The first sealed body under a MAC stays."""
    async with opened(store) as journal:
        for number in range(2):
            body = entry("r", str(number), bodies=(("mac", b"%d" % number),))
            done(await journal.append(append(f"a{number}", body)))
        assert journal.view(TENANT).body("mac") == b"0"


async def a_view_is_a_snapshot(store: Store) -> None:
    """It does not see what is appended after it was taken."""
    async with opened(store, started()) as journal:
        view = journal.view(TENANT)
        done(await journal.append(append("b", entry("r", "2"), raises=("kill",))))
        assert (view.tree()[1].size, len(view.records()), len(view.records(run="r"))) == (1, 1, 1)
        assert view.row(EpochRow, "kill") is None
        assert journal.view(TENANT).row(EpochRow, "kill") == EpochRow(id="kill", value=1)


async def a_row_alone_is_what_was_last_answered(store: Store) -> None:
    """What was refused, or is another tenant's, is not in it."""
    async with opened(store, started()) as journal:
        assert journal.row(TENANT, EpochRow, "kill") is None is journal.row("nobody", RunRow, "r")
        for value in (1, 2):
            done(await journal.append(append(f"b{value}", entry("r", f"{value}"), raises=("kill",))))
            conflict(await journal.append(append(f"c{value}", entry("r", "1"), raises=("kill",))), "step")
            assert journal.row(TENANT, EpochRow, "kill") == EpochRow(id="kill", value=value)
        assert journal.row(TENANT, RunRow, "r") == run_row(epoch=1) != journal.row("other", RunRow, "r")


async def rows_are_found_by_their_columns(store: Store) -> None:
    """In order of their id, whole or page by page; by no other column."""
    rows = (run_row("b", session="s"), run_row("a", session="s"), run_row("c", "ready"))
    async with opened(store, append("a", put=(*rows, BlobRow(id="d", content=b"x")))) as journal:
        view = journal.view(TENANT)
        assert [row.id for row in view.rows(RunRow)] == ["a", "b", "c"]
        assert [row.id for row in view.rows(RunRow, session="s", state="running")] == ["a", "b"]
        assert view.row(BlobRow, "d") == BlobRow(id="d", content=b"x")
        assert [row.id for row in view.page(RunRow, "", 2)] == ["a", "b"]
        assert [row.id for row in view.page(RunRow, "b", 2)] == ["c"] and view.page(RunRow, "c", 2) == []
        refusing = ""
        try:
            view.rows(RunRow, reason="x")
        except FlyballError as error:
            refusing = error.code
        assert refusing == "no_such_column"


# once and for all ----------------------------------------------------------------------------------------------------
async def a_known_append_changes_nothing(store: Store) -> None:
    """It is answered as before, in the same journal and after reopening, even where a fence has moved."""
    first = append("a", entry("r", "1"), entry("r", "2"), fence=Fence("r", 1), raises=("kill",))
    async with opened(store, started()) as journal:
        before = done(await journal.append(first))
        done(await journal.append(append("take", take="r")))
        again = done(await journal.append(first))
        assert (again.first, again.size, again.repeated) == (before.first, before.size, True)
        assert again.run is not None and again.run.epoch == 2
    async with opened(store) as journal:
        assert done(await journal.append(first)).repeated
        view = journal.view(TENANT)
        assert (view.tree()[1].size, view.row(EpochRow, "kill")) == (3, EpochRow(id="kill", value=1))


async def a_conflict_writes_nothing(store: Store) -> None:
    """Of an append that is not possible no part is there."""
    async with opened(store, started(), append("e", raises=("kill",))) as journal:
        before = journal.view(TENANT).tree()
        bad = append(
            "a", entry("r", "1"), put=(run_row("other"),), raises=("policy",), epochs=(Seen("kill", 0),),
            claims=(Claim(scope="s", key="k", digest="d", owner="o"),), wakes=("r",),
        )  # fmt: skip
        assert conflict(await journal.append(bad), "epoch:kill").held == "1"
        view = journal.view(TENANT)
        assert view.tree() == before
        assert (view.row(RunRow, "other"), view.row(EpochRow, "policy"), view.row(ClaimRow, "s|k")) == (None,) * 3


async def what_was_answered_is_durable(store: Store) -> None:
    """Urgent, relaxed and plain appends of several tenants are there after reopening."""
    async with opened(store) as journal:
        mixed = [
            append(f"a{n}", entry("r", str(n)), tenant=f"t{n % 3}", urgent=n % 2 == 0, relaxed=n % 5 == 0)
            for n in range(60)
        ]
        await asyncio.gather(*(journal.append(one) for one in mixed))
    async with opened(store) as journal:
        views = [journal.view(tenant) for tenant in journal.tenants()]
        assert sorted(int(record.path) for view in views for record in view.records()) == list(range(60))


async def a_closed_journal_refuses(store: Store) -> None:
    """And says so."""
    async with opened(store) as journal:
        await journal.close()
        refused(await journal.append(append("a", entry("r", "1"))), "closed")


# runs ----------------------------------------------------------------------------------------------------------------
async def only_the_driver_appends(store: Store) -> None:
    """A takeover raises the epoch; from then on the old driver is told who holds it."""
    async with opened(store, started()) as journal:
        done(await journal.append(append("a", entry("r", "1"), fence=Fence("r", 1))))
        taken = done(await journal.append(append("b", take="r"))).run
        assert taken is not None and (taken.epoch, taken.state) == (2, "running")
        assert conflict(await journal.append(append("c", entry("r", "2"), fence=Fence("r", 1))), "fence").held == "2"
        done(await journal.append(append("d", entry("r", "2"), fence=Fence("r", 2))))


async def one_of_two_drivers_wins(store: Store) -> None:
    """Two that take the run from the same epoch, and two that start it."""
    async with opened(store) as journal:
        starts = await asyncio.gather(*(
            journal.append(append(f"s{n}", entry("r", "0", "run_started"), put=(run_row(epoch=1),))) for n in range(2)
        ))  # fmt: skip
        assert sorted(type(answer).__name__ for answer in starts) == ["Appended", "Conflict"]
        taking = [append(f"t{n}", fence=Fence("r", 1), take="r") for n in range(2)]
        takes = await asyncio.gather(*(journal.append(one) for one in taking))
        assert sorted(type(answer).__name__ for answer in takes) == ["Appended", "Conflict"]


async def an_ended_run_takes_no_more(store: Store) -> None:
    """Its driver and a takeover are told so; an outcome without a fence still finds its way."""
    end = append("e", fence=Fence("r", 1), put=(run_row(state="ended", reason="completed"),))
    async with opened(store, started(), end) as journal:
        conflict(await journal.append(append("a", fence=Fence("r", 1))), "ended")
        conflict(await journal.append(append("b", take="r")), "ended")
        done(await journal.append(append("c", entry("r", "1", "outcome"), wakes=("r",), urgent=True)))
        row = journal.view(TENANT).row(RunRow, "r")
        assert row is not None and (row.state, row.inbox) == ("ended", 0)


async def a_parked_run_is_woken(store: Store) -> None:
    """Waking makes it ready, adds to its inbox, and never moves its fence."""
    park = append("p", fence=Fence("r", 1), put=(run_row(state="waiting"),), inbox_seen=0)
    async with opened(store, started(), park) as journal:
        waiting = journal.view(TENANT).rows(RunRow, state="waiting")
        assert [row.epoch for row in waiting] == [1]
        done(await journal.append(append("w", wakes=("r",))))
        assert journal.view(TENANT).row(RunRow, "r") == run_row(state="ready", epoch=1, inbox=1)


async def parking_with_a_newer_inbox_makes_ready(store: Store) -> None:
    """What arrived while the driver was parking is not slept over, and its inbox is not overwritten."""
    async with opened(store, started(), append("w", wakes=("r", "r"))) as journal:
        park = append("p", fence=Fence("r", 1), put=(run_row(state="waiting"),), inbox_seen=1)
        answer = done(await journal.append(park))
        assert answer.run == run_row(state="ready", epoch=1, inbox=2) == journal.view(TENANT).row(RunRow, "r")


# epochs, claims, approvals, budgets ----------------------------------------------------------------------------------
async def a_moved_epoch_is_a_conflict(store: Store) -> None:
    """An absent one is 0; one that moved names itself."""
    async with opened(store) as journal:
        done(await journal.append(append("a", epochs=(Seen("kill", 0), Seen("policy", 0)))))
        done(await journal.append(append("b", raises=("policy",))))
        conflict(await journal.append(append("c", epochs=(Seen("kill", 0), Seen("policy", 0)))), "epoch:policy")
        done(await journal.append(append("d", epochs=(Seen("kill", 0), Seen("policy", 1)))))


async def a_claim_has_one_owner(store: Store) -> None:
    """Claiming again for the same thing is fine; for another, or by another, is a conflict that names the owner."""

    def claiming(id: str, digest: str, owner: str) -> Append:
        return append(id, claims=(Claim(scope="key", key="k", digest=digest, owner=owner),))

    async with opened(store) as journal:
        racing = await asyncio.gather(*(journal.append(claiming(f"a{n}", "d", f"o{n}")) for n in range(2)))
        assert sorted(type(answer).__name__ for answer in racing) == ["Appended", "Conflict"]
        held = journal.view(TENANT).row(ClaimRow, "key|k")
        assert held is not None
        done(await journal.append(claiming("b", "d", held.owner)))
        assert conflict(await journal.append(claiming("c", "other", held.owner)), "claim").held == held.owner
        assert conflict(await journal.append(claiming("d", "d", "stranger")), "claim").held == held.owner


async def every_text_can_be_a_key(store: Store) -> None:
    """Also with NUL, quotes or characters from beyond the first plane, alone and in a batch."""
    keys = ("a\0b", "a\0c", "a", "", "'", '"', "\\", "|", "%", "\u00e9", "e\u0301", "\U0001f600", "\uffff")

    def claiming(owner: str) -> list[Append]:
        claims = [Claim(scope="s", key=key, digest="d", owner=owner) for key in keys]
        return [append(f"{owner} {claim.key}", claims=(claim,)) for claim in claims]

    async with opened(store, *claiming("first")) as journal:
        answers = await asyncio.gather(*(journal.append(one) for one in claiming("second")))
        answers += [await journal.append(one) for one in claiming("third")]
        assert [conflict(answer, "claim").held for answer in answers] == ["first"] * len(keys) * 2
        again = await asyncio.gather(*(journal.append(one) for one in claiming("first")))
        assert all(done(answer).repeated for answer in again)


async def an_approval_is_consumed_once(store: Store) -> None:
    """By one intent with all its attempts, at the version that the gate read."""
    granted = PendingRow(id="p", run="r", path="1", kind="approval", state="granted", version=2)

    def consuming(id: str, version: int, intent: str) -> Append:
        return append(id, consume=Consume(pending="p", version=version, intent=intent))

    async with opened(store, append("a", put=(granted,))) as journal:
        conflict(await journal.append(consuming("b", 1, "i")), "pending")
        racing = await asyncio.gather(*(journal.append(consuming(f"c{n}", 2, f"i{n}")) for n in range(2)))
        assert sorted(type(answer).__name__ for answer in racing) == ["Appended", "Conflict"]
        row = journal.view(TENANT).row(PendingRow, "p")
        assert row is not None and (row.state, row.version) == ("consumed", 3)
        done(await journal.append(consuming("d", 3, row.intent)))
        conflict(await journal.append(consuming("e", 3, "other")), "pending")


async def a_decision_expects_a_version(store: Store) -> None:
    """Two that decide about one version: the second is told; one that is not there has version 0."""
    ask = PendingRow(id="p", run="r", path="1", kind="approval", state="open")
    voided = PendingRow(id="p", run="r", path="1", kind="approval", state="void", version=2)
    async with opened(store, append("a", put=(ask,), expect=(("p", 0),))) as journal:
        racing = await asyncio.gather(*(
            journal.append(append(f"b{n}", put=(voided,), expect=(("p", 1),))) for n in range(2)
        ))  # fmt: skip
        assert sorted(type(answer).__name__ for answer in racing) == ["Appended", "Conflict"]
        conflict(await journal.append(append("c", expect=(("none", 1),))), "pending")


async def a_reservation_is_granted_by_all_nodes_or_none(store: Store) -> None:
    """Refused names node and dimension; settling releases what was not used, and only the first time."""
    wanted, limit = Amounts(usd=60), Limit(usd=100)

    def reserving(id: str) -> Append:
        holds = (Hold(node="acme", amounts=wanted), Hold(node="acme/r", amounts=wanted, limit=limit))
        return append(f"reserve {id}", reserve=Reserve(id=id, holds=holds))

    async with opened(store) as journal:
        answers = await asyncio.gather(*(journal.append(reserving(id)) for id in "ab"))
        assert sorted(type(answer).__name__ for answer in answers) == ["Appended", "Refused"]
        assert refused(await journal.append(reserving("c")), "budget").detail == "acme/r:usd"
        held = journal.view(TENANT).rows(HoldRow)[0].id
        for number, spent in enumerate((10, 50)):
            done(await journal.append(append(f"s{number}", settle=Settle(id=held, actual=Amounts(usd=spent)))))
        view = journal.view(TENANT)
        assert view.rows(HoldRow) == []
        assert view.rows(BudgetRow) == [BudgetRow(id=id, spent=Amounts(usd=10)) for id in ("acme", "acme/r")]
        done(await journal.append(reserving("d")))


async def what_waits_counts_while_it_is_open(store: Store) -> None:
    """No concurrency passes a cap on it; the append with which it is open no more gives it back."""
    limit = Limit(open_approvals=2, asks=3)

    def asked(id: str, state: str = "open", version: int = 1) -> PendingRow:
        hold = Hold(node="acme", amounts=Amounts(asks=1, open_approvals=1), limit=limit)
        return PendingRow(
            id=id, run="r", path=id, kind="approval", state=state, version=version, counts=(hold,)
        )  # fmt: skip

    async with opened(store) as journal:
        answers = await asyncio.gather(*(journal.append(append(f"ask {n}", put=(asked(str(n)),))) for n in range(5)))
        assert sorted(type(answer).__name__ for answer in answers) == ["Appended"] * 2 + ["Refused"] * 3
        first, _ = journal.view(TENANT).rows(PendingRow)
        done(await journal.append(append("void", put=(asked(first.id, "void", 2),))))
        done(await journal.append(append("again", put=(asked("x"),))))
        assert (
            refused(await journal.append(append("more", put=(asked("y"),))), "budget").detail == "acme:open_approvals"
        )
    async with opened(store) as journal:
        held, spent = Amounts(asks=2, open_approvals=2), Amounts(asks=1)
        assert journal.view(TENANT).rows(BudgetRow) == [BudgetRow(id="acme", reserved=held, spent=spent)]


# neighbours ----------------------------------------------------------------------------------------------------------
async def a_bad_append_hurts_only_itself(store: Store) -> None:
    """Malformed, not storable, in conflict or over budget, in the middle of others."""
    wrong = Entry(id="r/x/1/intent", kind="intent", run="r", path="x", attempt=1, time=1, leaf=b"{}", hash=bytes(32))
    bad = (
        append("bad1", wrong), append("bad2", entry("r", "y"), put=(run_row("\ud800"),)),
        append("bad3", entry("r", "z"), fence=Fence("none", 1)), append("bad4", put=(EpochRow(id="kill", value=9),)),
        append("bad5", put=(run_row("q", active_ms=2**70),)),
    )  # fmt: skip
    good = [append(f"good{n}", entry("r", str(n))) for n in range(10)]
    async with opened(store) as journal:
        mixed = [*good[:5], *bad, *good[5:]]
        answers = await asyncio.gather(*(journal.append(one) for one in mixed))
        assert [isinstance(answer, Appended) for answer in answers] == [True] * 5 + [False] * 5 + [True] * 5
        view = journal.view(TENANT)
        assert [record.path for record in view.records()] == [str(n) for n in range(10)]
        assert view.tree()[1].root() == root_from_leaves(leaf_hash(record.leaf) for record in view.records())


async def a_cancelled_waiter_hurts_nobody(store: Store) -> None:
    """Its neighbours are answered; its own append can be looked up by asking again."""
    async with opened(store) as journal:
        tasks = [asyncio.ensure_future(journal.append(append(f"a{n}", entry("r", str(n))))) for n in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        kept = [answer for number, answer in enumerate(answers) if number % 3]
        assert all(isinstance(answer, Appended) for answer in kept)
        for number in range(20):
            done(await journal.append(append(f"a{number}", entry("r", str(number)))))
        assert journal.view(TENANT).tree()[1].size == 20


async def indexes_have_no_gap(store: Store) -> None:
    """Hundreds at once: each index is given once."""
    async with opened(store) as journal:
        answers = await asyncio.gather(*(journal.append(append(f"a{n}", entry("r", str(n)))) for n in range(600)))
        assert sorted(done(answer).first for answer in answers) == list(range(600))


PROMISES: Final[tuple[Promise, ...]] = (
    an_appended_record_is_read_back, an_unknown_tenant_is_empty, tenants_do_not_see_each_other,
    the_tree_is_that_of_the_leaves, a_log_is_opened_under_the_id_it_is_given, there_is_no_node_beyond_the_tree,
    records_come_in_pages, a_record_is_found_by_its_id, a_step_is_recorded_once, a_body_is_kept_once,
    a_view_is_a_snapshot,
    a_row_alone_is_what_was_last_answered, rows_are_found_by_their_columns, a_known_append_changes_nothing,
    a_conflict_writes_nothing,
    what_was_answered_is_durable, a_closed_journal_refuses, only_the_driver_appends, one_of_two_drivers_wins,
    an_ended_run_takes_no_more, a_parked_run_is_woken, parking_with_a_newer_inbox_makes_ready,
    a_moved_epoch_is_a_conflict, a_claim_has_one_owner, every_text_can_be_a_key,
    an_approval_is_consumed_once, a_decision_expects_a_version,
    a_reservation_is_granted_by_all_nodes_or_none, what_waits_counts_while_it_is_open,
    a_bad_append_hurts_only_itself, a_cancelled_waiter_hurts_nobody, indexes_have_no_gap,
)  # fmt: skip
