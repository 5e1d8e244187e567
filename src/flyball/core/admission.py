"""May this append be? A journal asks before it writes anything; every journal asks the same function.

Rules:

* `malformed` looks at the append alone and is asked on the caller's side; `admit` looks at what is stored and is asked
  by the writer, inside its transaction.
* A known append id changes nothing and is answered as before, whatever else has moved since.
* Checks come in a fixed order: log, fence, epochs, steps, claims, expected versions, approval, budget, rows. The first
  that fails is the answer, and then nothing is written.
* A run's epoch and inbox, budgets, reservations, claims and epochs are the writer's own: an append asks for a change of
  them, it never brings their rows.
* Budgets: settling comes before reserving (what is released is free again), except for one's own reservation.
* What waits for people counts at its nodes from the append that asks to the one with which it is open no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec.structs import astuple, replace

from flyball.core.budget import Amounts, exceeded, minus, plus
from flyball.core.journal import (
    Append,
    Appended,
    BudgetRow,
    ClaimRow,
    Conflict,
    Entry,
    EpochRow,
    Hold,
    HoldRow,
    PendingRow,
    Refused,
    Row,
    RunRow,
)
from flyball.core.kinds import KINDS
from flyball.core.lifecycle import LIVE, WAKEABLE, moved, states
from flyball.core.merkle import leaf_hash
from flyball.core.record import MAX_LEAF, record_id

MAX_APPEND: Final = 64 * 1024 * 1024
MAX_AMOUNT: Final = 2**53 - 1
MAX_INTEGER: Final = 2**63 - 1
OWNED: Final[frozenset[type[Row]]] = frozenset({BudgetRow, HoldRow, ClaimRow, EpochRow})
"""Kinds of rows that only the writer makes."""

R = TypeVar("R", bound=Row)
RowKey: TypeAlias = tuple[type[msgspec.Struct], str]
Stop: TypeAlias = Conflict | Refused | None

_RUN_STATES: Final = states("run")
_APPROVAL_STATES: Final = states("approval")
_OPEN: Final = "open"
_PUT_EVENT: Final[Mapping[str, str]] = {"waiting": "park", "ended": "end"}
"""What a driver says by putting its run in a state; back to running leads only a takeover."""
_APPROVAL_EVENTS: Final = ("grant", "complete", "reject", "edit", "expire", "void", "consume")


class Lookup(Protocol):
    """What is stored for the append's tenant, earlier appends of the same batch included."""

    def log(self) -> str:
        """The random id of the tenant's log; empty where it has none yet."""
        ...

    def row(self, kind: type[R], id: str) -> R | None:
        """One row by its id."""
        ...

    def has_record(self, id: str) -> bool:
        """Whether a record with this step key is there."""
        ...

    def appended(self, id: str) -> Appended | None:
        """How an append with this id was answered, if there was one."""
        ...


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """The append may be: the rows it changes (None: the row goes) and the new row of the run it is about."""

    changes: Mapping[RowKey, Row | None]
    run: RunRow | None = None


Admission: TypeAlias = Appended | Admitted | Conflict | Refused


def malformed(append: Append) -> Refused | None:
    """What is wrong with an append whatever is stored (`too_large` or `invalid`); None where nothing is."""
    size, seen = 0, set[str]()
    for entry in append.entries:
        size += len(entry.leaf) + len(entry.payload or b"")
        if entry.bodies:
            size += sum(len(body) for _, body in entry.bodies)
        wrong = "its step key comes twice" if entry.id in seen else _wrong_entry(entry)
        if wrong:
            return Refused(reason="invalid", detail=f"record {entry.id}: {wrong}")
        seen.add(entry.id)
        if len(entry.leaf) > MAX_LEAF:
            return Refused(reason="too_large", detail=f"the leaf of {entry.id} has {len(entry.leaf)} bytes")
    if size > MAX_APPEND:
        return Refused(reason="too_large", detail=f"{size} bytes of records, at most {MAX_APPEND}")
    wrong = _wrong_request(append)
    return Refused(reason="invalid", detail=wrong) if wrong else None


def admit(append: Append, state: Lookup) -> Admission:
    """The rows to write, or how the append is answered instead: as before, with what moved, or with a refusal."""
    known = state.appended(append.id)
    if known is not None:
        about = _about(append)
        return replace(known, repeated=True, run=state.row(RunRow, about) if about else None)
    if append.log and state.log() not in ("", append.log):
        return Conflict(what="log", held=state.log(), detail="the tenant's log is open already")
    draft = _Draft(state)
    for check in _CHECKS:
        stop = check(append, draft)
        if stop is not None:
            return stop
    about = _about(append)
    return Admitted(changes=draft.changes, run=draft.row(RunRow, about) if about else None)


class _Draft:
    """What is stored, with the changes of this append over it."""

    __slots__ = ("_state", "changes")

    def __init__(self, state: Lookup) -> None:
        self._state = state
        self.changes: dict[RowKey, Row | None] = {}

    def row(self, kind: type[R], id: str) -> R | None:
        key: RowKey = (kind, id)
        if key in self.changes:
            return self.changes[key]  # type: ignore[return-value]  # the key names the kind
        return self._state.row(kind, id)

    def has_record(self, id: str) -> bool:
        return self._state.has_record(id)

    def put(self, row: Row) -> None:
        self.changes[(type(row), row.id)] = row

    def drop(self, row: Row) -> None:
        self.changes[(type(row), row.id)] = None


def _about(append: Append) -> str:
    if append.fence is not None:
        return append.fence.run
    if append.take:
        return append.take
    return next((row.id for row in append.put if type(row) is RunRow), "")


# the append alone ----------------------------------------------------------------------------------------------------
def _wrong_entry(entry: Entry) -> str:
    if entry.kind not in KINDS:
        return f"{entry.kind!r} is no kind of record"
    if not _is_text(entry.id):
        return "its id is not Unicode text"
    if "/" in entry.run or not 0 <= entry.attempt <= MAX_INTEGER or not 0 <= entry.time <= MAX_INTEGER:
        return "run, attempt or time is out of range"
    if entry.id != record_id(entry.run, entry.path, entry.attempt, entry.kind):
        return "its id is not run/path/attempt/kind"
    return "" if entry.hash == leaf_hash(entry.leaf) else "its hash is not that of its leaf"


def _wrong_request(append: Append) -> str:
    if not append.id or not append.tenant or not _is_text(append.id) or not _is_text(append.tenant):
        return "an append needs an id and a tenant"
    if append.claims and any("|" in claim.scope for claim in append.claims):
        return "a claim's scope holds |"
    if append.reserve is not None and any(_out_of_range(hold.amounts) for hold in append.reserve.holds):
        return "a reservation is negative or too large"
    if append.settle is not None and append.settle.actual is not None and _out_of_range(append.settle.actual):
        return "a settlement is negative or too large"
    return _wrong_rows(append) if append.put else ""


def _wrong_rows(append: Append) -> str:
    for row in append.put:
        if type(row) in OWNED:
            return f"rows of {row.TABLE} are the writer's own"
        if type(row) is PendingRow and any(_out_of_range(hold.amounts) for hold in row.counts):
            return "what a row counts as is negative or too large"
        if type(row) is RunRow and row.state not in _RUN_STATES:
            return f"{row.state!r} is no state of a run"
    if len({(type(row), row.id) for row in append.put}) != len(append.put):
        return "a row is put twice"
    return ""


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _out_of_range(amounts: Amounts) -> bool:
    values: tuple[int, ...] = astuple(amounts)
    return min(values) < 0 or max(values) > MAX_AMOUNT


# what it relies on ---------------------------------------------------------------------------------------------------
def _fenced(append: Append, draft: _Draft) -> Stop:
    fence = append.fence
    if fence is not None:
        stop, run = _live(fence.run, draft)
        if run is None:
            return stop
        if run.epoch != fence.epoch:
            return Conflict(what="fence", held=str(run.epoch), detail=f"{run.id} was taken over")
    if append.take:
        stop, run = _live(append.take, draft)
        if run is None:
            return stop
        state = moved("run", run.state, "take")
        draft.put(replace(run, state=state or run.state, epoch=run.epoch + 1))  # every live state can be taken
    return None


def _live(id: str, draft: _Draft) -> tuple[Stop, RunRow | None]:
    run = draft.row(RunRow, id)
    if run is None:
        return Conflict(what="fence", detail=f"there is no run {id}"), None
    if run.state not in LIVE:
        return Conflict(what="ended", held=run.id, detail=run.reason), None
    return None, run


def _seen(append: Append, draft: _Draft) -> Stop:
    for seen in append.epochs:
        row = draft.row(EpochRow, seen.name)
        value = row.value if row is not None else 0
        if value != seen.value:
            return Conflict(what=f"epoch:{seen.name}", held=str(value))
    return None


def _unrecorded(append: Append, draft: _Draft) -> Stop:
    for entry in append.entries:
        if draft.has_record(entry.id):
            return Conflict(what="step", held=entry.id)
    return None


def _claimed(append: Append, draft: _Draft) -> Stop:
    for claim in append.claims:
        id = f"{claim.scope}|{claim.key}"
        held = draft.row(ClaimRow, id)
        if held is None:
            draft.put(ClaimRow(id=id, digest=claim.digest, owner=claim.owner))
        elif held.digest != claim.digest:
            return Conflict(what="claim", held=held.owner, detail=f"{id} stands for something else")
        elif held.owner != claim.owner:
            return Conflict(what="claim", held=held.owner, detail=id)
    return None


def _unclaimed(append: Append, draft: _Draft) -> Stop:
    for claim in append.unclaim:
        held = draft.row(ClaimRow, f"{claim.scope}|{claim.key}")
        if held is not None and held.owner == claim.owner:
            draft.drop(held)
    return None


def _expected(append: Append, draft: _Draft) -> Stop:
    for id, version in append.expect:
        row = draft.row(PendingRow, id)
        there = row.version if row is not None else 0
        if there != version:
            return Conflict(what="pending", held=str(there), detail=id)
    return None


def _consumed(append: Append, draft: _Draft) -> Stop:
    consume = append.consume
    if consume is None:
        return None
    row = draft.row(PendingRow, consume.pending)
    if row is None:
        return Conflict(what="pending", detail=f"there is no approval {consume.pending}")
    if row.version != consume.version:
        return Conflict(what="pending", held=str(row.version), detail=row.id)
    if row.state == "consumed" and row.intent == consume.intent:
        return None  # one approval covers every attempt of its one intent
    state = moved("approval", row.state, "consume")
    if state is None:
        return Conflict(what="pending", held=row.state, detail=row.id)
    draft.put(replace(row, state=state, intent=consume.intent, version=row.version + 1))
    return None


# budgets -------------------------------------------------------------------------------------------------------------
def _budgeted(append: Append, draft: _Draft) -> Stop:
    reserve, settle = append.reserve, append.settle
    own = reserve is not None and settle is not None and reserve.id == settle.id
    if settle is not None and not own:
        _settle(append, draft)
    stop = _reserve(append, draft)
    if own and stop is None:
        _settle(append, draft)
    return stop


def _reserve(append: Append, draft: _Draft) -> Stop:
    reserve = append.reserve
    if reserve is None:
        return None
    held, holds = draft.row(HoldRow, reserve.id), _kept(reserve.holds)
    if held is not None:
        if held.holds == holds:
            return None
        return Refused(reason="invalid", detail=f"{reserve.id} has another reservation already")
    stop = _grant(reserve.holds, draft)
    if stop is None:
        draft.put(HoldRow(id=reserve.id, holds=holds))
    return stop


def _kept(holds: tuple[Hold, ...]) -> tuple[Hold, ...]:
    """What is kept of a reservation is how much; the limits are the next append's own."""
    return tuple([Hold(node=hold.node, amounts=hold.amounts) for hold in holds])


def _grant(holds: tuple[Hold, ...], draft: _Draft) -> Stop:
    for hold in holds:
        row = draft.row(BudgetRow, hold.node) or BudgetRow(id=hold.node)
        dimension = exceeded(hold.limit, plus(row.reserved, row.spent), hold.amounts)
        if dimension is not None:
            return Refused(reason="budget", detail=f"{hold.node}:{dimension}")
        draft.put(BudgetRow(id=row.id, reserved=plus(row.reserved, hold.amounts), spent=row.spent))
    return None


def _release(holds: tuple[Hold, ...], actual: Amounts | None, draft: _Draft) -> None:
    for hold in holds:
        row = draft.row(BudgetRow, hold.node) or BudgetRow(id=hold.node)
        used = replace(hold.amounts, open_approvals=0) if actual is None else actual
        draft.put(BudgetRow(id=row.id, reserved=minus(row.reserved, hold.amounts), spent=plus(row.spent, used)))


def _settle(append: Append, draft: _Draft) -> None:
    settle = append.settle
    held = draft.row(HoldRow, settle.id) if settle is not None else None
    if settle is None or held is None:
        return  # settled before, or nothing was reserved: the first settlement stands
    _release(held.holds, settle.actual, draft)
    draft.drop(held)


# rows ----------------------------------------------------------------------------------------------------------------
def _put(append: Append, draft: _Draft) -> Stop:
    for row in append.put:
        if type(row) is RunRow:
            stop = _put_run(row, append, draft)
        elif type(row) is PendingRow:
            stop = _put_pending(row, draft)
        else:
            draft.put(row)
            continue
        if stop is not None:
            return stop
    return None


def _put_run(row: RunRow, append: Append, draft: _Draft) -> Stop:
    stored = draft.row(RunRow, row.id)
    if stored is None:
        draft.put(row)
        return None
    if stored.state not in LIVE:
        return Conflict(what="ended", held=row.id, detail=stored.reason)
    if row.id != append.take and (append.fence is None or append.fence.run != row.id):
        return Conflict(what="fence", held=str(stored.epoch), detail=f"{row.id} is there, and not this driver's")
    state = row.state
    if state != stored.state and moved("run", stored.state, _PUT_EVENT.get(state, "")) != state:
        return Refused(reason="invalid", detail=f"{row.id} does not go from {stored.state} to {state}")
    if state in WAKEABLE and append.inbox_seen < 0:
        return Refused(reason="invalid", detail=f"{row.id} parks without saying what of its inbox it has seen")
    if state in WAKEABLE and stored.inbox > append.inbox_seen:
        state = moved("run", state, "wake") or state
    draft.put(replace(row, state=state, epoch=stored.epoch, inbox=stored.inbox))
    return None


def _put_pending(row: PendingRow, draft: _Draft) -> Stop:
    stored = draft.row(PendingRow, row.id)
    if stored is not None:
        if row.version < stored.version:
            return Conflict(what="pending", held=str(stored.version), detail=row.id)
        if row.state != stored.state and not _may_become(stored.state, row.state):
            return Conflict(what="pending", held=stored.state, detail=row.id)
    if stored is None:
        draft.put(replace(row, counts=_kept(row.counts)) if row.counts else row)
        return _grant(row.counts, draft) if row.state == _OPEN else None
    if stored.state == _OPEN != row.state:
        _release(stored.counts, None, draft)
    draft.put(replace(row, counts=stored.counts) if row.counts != stored.counts else row)
    return None


def _may_become(before: str, after: str) -> bool:
    if before not in _APPROVAL_STATES or after not in _APPROVAL_STATES:
        return True  # a question or a timer: it has states of its own
    return any(moved("approval", before, event) == after for event in _APPROVAL_EVENTS)


def _woken(append: Append, draft: _Draft) -> Stop:
    for id in append.wakes:
        run = draft.row(RunRow, id)
        if run is None:
            return Refused(reason="invalid", detail=f"there is no run {id} to wake")
        state = moved("run", run.state, "wake")
        if state is not None:  # an ended run has no inbox any more
            draft.put(replace(run, state=state, inbox=run.inbox + 1))
    return None


def _raised(append: Append, draft: _Draft) -> Stop:
    for name in append.raises:
        row = draft.row(EpochRow, name)
        draft.put(EpochRow(id=name, value=(row.value if row is not None else 0) + 1))
    return None


_CHECKS: Final[tuple[Callable[[Append, _Draft], Stop], ...]] = (
    _fenced, _seen, _unrecorded, _claimed, _unclaimed, _expected, _consumed, _budgeted, _put, _woken, _raised,
)  # fmt: skip
