"""What an append carries, the rows a journal keeps, and what an append is answered.

An append belongs to one tenant and is one transaction: all of it is durable or none of it is there. Row types are
frozen records; a journal stores them as they are and indexes the columns named in `INDEXED`. They hold nothing that
could lead back to them, so the collector of cycles need not look at them (`gc=False`): each action makes some twenty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from flyball.core.budget import UNLIMITED, ZERO, Amounts, Limit
from flyball.core.kinds import Kind


class Entry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One record to append: its leaf, sealed and hashed by the caller; the writer assigns index and nodes.

    `id` is `run/path/attempt/kind` (tenant records: `-/name/0/kind`) and unique in the tenant: that is the step key.
    `payload` is the sealed private part (None: all public, or erased). `bodies` are sealed large values by their MAC.
    """

    id: str
    kind: Kind
    run: str
    path: str
    attempt: int
    time: int
    leaf: bytes
    hash: bytes
    payload: bytes | None = None
    bodies: tuple[tuple[str, bytes], ...] = ()


class Stored(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A record as read back: the entry's parts with its index in the tenant's log."""

    index: int
    id: str
    kind: str
    run: str
    path: str
    attempt: int
    time: int
    leaf: bytes
    payload: bytes | None


# preconditions --------------------------------------------------------------------------------------------------------
class Fence(msgspec.Struct, frozen=True, gc=False):
    """Only the driver that holds this epoch of the run may append."""

    run: str
    epoch: int


class Seen(msgspec.Struct, frozen=True, gc=False):
    """An epoch that the verdict read: kill, policy, directory, brake, release, `taint:<run>`; absent rows are 0."""

    name: str
    value: int


class Claim(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A key unique in (tenant, scope): idempotency and business keys, run keys. `digest` is of what it stands for."""

    scope: str
    key: str
    digest: str
    owner: str


class Hold(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A reservation at one node of the budget path."""

    node: str
    amounts: Amounts
    limit: Limit = UNLIMITED


class Reserve(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A reservation under an intent's id, at every node or at none."""

    id: str
    holds: tuple[Hold, ...]


class Settle(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an intent really used (None: what was reserved at each node); the rest of its reservation is released.
    Settling twice changes nothing."""

    id: str
    actual: Amounts | None = ZERO


class Consume(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Uses up a granted approval for an intent; `version` is the one the gate read."""

    pending: str
    version: int
    intent: str


# rows -----------------------------------------------------------------------------------------------------------------
class RunRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A run's mutable part. Everything that is personal lives in the payload of its `run_started` record.

    `inbox` counts what arrived for the run; `wake_at` (microseconds, 0: none) is when a timer wants it. The records of
    its present generation (`continue_as`) have indices above `since`; those before are in that generation's snapshot.
    `session` is the pseudonym of the session that the run is turn number `turn` of.
    """

    TABLE: ClassVar[str] = "run"
    id: str
    kind: str
    what: str
    state: str
    epoch: int = 0
    inbox: int = 0
    wake_at: int = 0
    release: str = ""
    session: str = ""
    parent: str = ""
    reason: str = ""
    started: int = 0
    ended: int = 0
    active_ms: int = 0
    review: bool = False
    since: int = -1
    turn: int = 0


class PendingRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something a run waits for: an approval, a person's answer, a timer, an unknown outcome.

    `groups` holds the cures still needed as `layer/group[:n]`; `given` the signed-off parts as plain data
    (`{by, cure, key, sig}`; by is a pseudonym). `record` is the `asked` record that holds what is shown. `counts` is
    what it holds at budget nodes while it is open; after that its asks are spent and it is no open approval any more.
    """

    TABLE: ClassVar[str] = "pending"
    id: str
    run: str
    path: str
    kind: str
    state: str
    version: int = 1
    record: str = ""
    over: str = ""
    groups: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    given: tuple[Mapping[str, Any], ...] = ()
    expires: int = 0
    default: str = "deny"
    intent: str = ""
    counts: tuple[Hold, ...] = ()


class BudgetRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A budget node: what is reserved and what is spent."""

    TABLE: ClassVar[str] = "budget"
    id: str
    reserved: Amounts = ZERO
    spent: Amounts = ZERO


class HoldRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An open reservation; the row goes when it is settled."""

    TABLE: ClassVar[str] = "hold"
    id: str
    holds: tuple[Hold, ...]


class ClaimRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A claimed key; `id` is `scope|key`."""

    TABLE: ClassVar[str] = "claim"
    id: str
    digest: str
    owner: str


class EpochRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A counter that verdicts read."""

    TABLE: ClassVar[str] = "epoch"
    id: str
    value: int


class KeyRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person's or service's public key in the project's directory. `person` is sealed by nobody: it is what an
    operator typed into the directory, needed to show who can approve; leaves only ever hold the key id."""

    TABLE: ClassVar[str] = "key"
    id: str
    person: str
    groups: tuple[str, ...]
    public: str
    created: int
    revoked: int = 0


class BundleRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The policy bundle in force for a layer; `id` is the layer, `blob` the digest of the stored Bundle."""

    TABLE: ClassVar[str] = "bundle"
    id: str
    digest: str
    name: str
    activated: int


class CheckpointRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A signed checkpoint of the tenant's log; `id` is the size, zero-padded to 16 digits."""

    TABLE: ClassVar[str] = "checkpoint"
    id: str
    note: str
    time: int


class BlobRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Operator-authored content by its SHA-256: bundles, release parts, price tables."""

    TABLE: ClassVar[str] = "blob"
    id: str
    content: bytes


Row = RunRow | PendingRow | BudgetRow | HoldRow | ClaimRow | EpochRow | KeyRow | BundleRow | CheckpointRow | BlobRow
ROWS: Final[tuple[type[Row], ...]] = (
    RunRow, PendingRow, BudgetRow, HoldRow, ClaimRow, EpochRow, KeyRow, BundleRow, CheckpointRow, BlobRow,
)  # fmt: skip
# The columns a view may filter by, besides id.
INDEXED: Final[Mapping[str, tuple[str, ...]]] = {
    "run": ("state", "kind", "parent", "session"),
    "pending": ("run", "state", "kind"),
    "key": ("person",),
}


class Append(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One transaction. `id` is deterministic: an append with a known id changes nothing and is answered as before.

    `unclaim` gives back claims of the same owner: what they stood for certainly did not happen.
    `log`: the random id of a log that this append opens; without it the journal makes one.
    `raises` are epochs that this append moves; `wakes` are runs whose inbox it adds to; `park` (with the fence) sets
    the run waiting, unless its inbox is newer than `inbox_seen`; `urgent` (T2, kill) goes before T1 in the queue;
    `relaxed` appends (pure reads) are answered when accepted, before they are durable.
    """

    id: str
    tenant: str
    log: str = ""
    entries: tuple[Entry, ...] = ()
    fence: Fence | None = None
    take: str = ""
    epochs: tuple[Seen, ...] = ()
    raises: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    unclaim: tuple[Claim, ...] = ()
    reserve: Reserve | None = None
    settle: Settle | None = None
    consume: Consume | None = None
    put: tuple[Row, ...] = ()
    expect: tuple[tuple[str, int], ...] = ()
    wakes: tuple[str, ...] = ()
    inbox_seen: int = -1
    urgent: bool = False
    relaxed: bool = False


# answers --------------------------------------------------------------------------------------------------------------
class Appended(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Durable (or accepted, where relaxed). `first` is the index of the first entry; `run` the run's new row, if any.

    `repeated`: this append's id was there already.
    """

    first: int
    size: int
    run: RunRow | None = None
    repeated: bool = False


class Conflict(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something the append relied on has moved: `what` is log, fence, epoch:NAME, step, claim, pending, ended; `held`
    names who holds it (the owner of a claim, the record that is there)."""

    what: str
    held: str = ""
    detail: str = ""


class Refused(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """It may not be: `reason` is budget, too_large, disk_full, read_only, closed or invalid; `detail` says which."""

    reason: str
    detail: str = ""


class Indeterminate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Nobody can say whether it is durable: start no effect, acknowledge nothing, reopen and look the id up."""

    detail: str


Answered = Appended | Conflict | Refused | Indeterminate
