"""A record before it is sealed, and the leaf it becomes.

A leaf is canonical JSON, small, permanent and free of personal data:

    {"v":1,"id":"r-1/2/1/intent","kind":"intent","t":1700000000000000,"tenant":"acme","run":"r-1","path":"2","attempt":1,
     "facts":{...}, "commit":{"args":"<hex>"}}

`facts` are what operators author (names, digests of schemas, policies, releases) and fixed-size states; persons appear
as keyed pseudonyms. Everything that comes from people or the world is a private field: the leaf holds a salted
commitment over its exact stored bytes, the payload holds salt and bytes, sealed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from flyball.core.canonical import encode
from flyball.core.commitment import commit
from flyball.core.errors import FlyballError
from flyball.core.journal import Stored
from flyball.core.kinds import KINDS, Kind

MAX_LEAF: Final = 16_384
NO_RUN: Final = "-"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a station wants recorded: public `facts`, `private` fields as plain JSON data, whose data it is.

    `salts` fixes the salt of a field, so that two records can repeat one commitment verbatim.
    """

    kind: Kind
    run: str = NO_RUN
    path: str = ""
    attempt: int = 0
    facts: Mapping[str, Any] = {}
    private: Mapping[str, Any] = {}
    salts: Mapping[str, bytes] = {}
    subjects: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The step key: unique in the tenant."""
        return record_id(self.run, self.path, self.attempt, self.kind)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A record read back with what its payload says. `private` is None where the subject was erased."""

    index: int
    kind: str
    run: str
    path: str
    attempt: int
    time: int
    facts: Mapping[str, Any]
    commits: Mapping[str, str]
    private: Mapping[str, Any] | None
    salts: Mapping[str, bytes] = {}

    @property
    def id(self) -> str:
        """The step key."""
        return record_id(self.run, self.path, self.attempt, self.kind)


def unopened(stored: Stored) -> Opened:
    """A stored record with what its leaf says; its payload is left closed, as if it had none."""
    told = msgspec.json.decode(stored.leaf)
    return Opened(
        index=stored.index, kind=stored.kind, run=stored.run, path=stored.path, attempt=stored.attempt,
        time=stored.time, facts=told["facts"], commits=told["commit"], private={},
    )  # fmt: skip


def record_id(run: str, path: str, attempt: int, kind: str) -> str:
    """`run/path/attempt/kind`."""
    return f"{run}/{path}/{attempt}/{kind}"


def leaf(event: Event, tenant: str, time: int, commits: Mapping[str, str]) -> bytes:
    """The leaf of an event; refuses an unknown kind and a leaf above MAX_LEAF bytes."""
    if event.kind not in KINDS:
        raise FlyballError("unknown_kind", f"{event.kind!r} is no kind of record", fix="add it to core.kinds")
    data = encode({
        "v": 1, "id": event.id, "kind": event.kind, "t": time, "tenant": tenant, "run": event.run, "path": event.path,
        "attempt": event.attempt, "facts": event.facts, "commit": commits,
    })  # fmt: skip
    if len(data) > MAX_LEAF:
        raise FlyballError("leaf_too_large", f"the leaf of {event.id} has {len(data)} bytes, more than {MAX_LEAF}")
    return data


def commitments(private: Mapping[str, bytes], salts: Mapping[str, bytes]) -> dict[str, str]:
    """The commitment of every private field under its salt."""
    return {field: commit(field, salts[field], data) for field, data in private.items()}
