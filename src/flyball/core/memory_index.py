"""What an index of memories holds and is asked: derived from the log, and worth nothing without it.

An index only says which memories may answer a query. Text, labels and owner are read from the log each time, so that
who changes an index can hide a memory, and can invent none.
"""

from __future__ import annotations

import msgspec

from flyball.core.useful import Usage


class Indexed(msgspec.Struct, frozen=True, kw_only=True):
    """A memory as it is found: `record` is the outcome in the log that says what it is. `about` and `words` are in the
    form in which they are compared; `created` and `expires` in microseconds since 1970; `vector` of its text where an
    embedding model is configured."""

    id: str
    record: str
    owner: str
    by: str
    about: tuple[str, ...]
    words: tuple[str, ...]
    created: int
    expires: int
    bytes: int
    vector: tuple[float, ...] = ()


class Drop(msgspec.Struct, frozen=True):
    """A memory that is in the index no more, and of whose words nothing is left in its files."""

    id: str


Change = Indexed | Drop


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far an index has read a tenant's log: the last record, and the epoch of its memories then. `model` is what
    its vectors were made by."""

    index: int = -1
    epoch: int = 0
    model: str = ""


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """A query over one owner's memories that have not expired at `now`, in microseconds."""

    owner: str
    words: tuple[str, ...]
    now: int
    limit: int
    vector: tuple[float, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that may answer, with the cosine of its vector and the query's where there are both."""

    row: Indexed
    cosine: float | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What an index holds of a tenant, and of one principal in it; what has expired is not counted."""

    cursor: Cursor
    tenant: Usage
    principal: Usage
