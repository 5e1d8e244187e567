"""Records a history: everything that a shop's log holds, as lines of JSON that can be read, and the same every time.

    head        what it is: format, version, tenant, log, signed checkpoint, verifier key, the key of its pseudonyms
    record      a leaf with the exact bytes that it commits to, and their salts; in the order of the log
    row         what the journal holds beside the log: runs, what they wait for, budgets, claims, epochs

Rules:

* Chance comes from the history's name, time from the Lab. What belongs to a machine and not to the runs (its checkout,
  its Python, what is installed) is pinned: `pinned`.
* Content that operators author (bundles, parts of the release) stands once for the whole corpus, by its digest.
* The ledger is signed once, when all is over: when a log is signed in between is a matter of real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec

from flyball import __version__
from flyball.core.journal import ROWS, BlobRow, CheckpointRow, Stored
from flyball.core.merkle import leaf_hash
from flyball.runtime.record import Recorder
from flyball.testing import Lab
from tests.histories.v0_1.plays import PLAYS

FORMAT = 1
TENANT, ALL = "local", 1_000_000
# The same in most histories, and long.
SHARED = ("release_loaded", "policy_activated")
PINNED = {
    "flyball.app.opening.commit_of": lambda directory: {},
    "flyball.app.release._dependencies": lambda path: ["pinned==1"],
    "flyball.app.release.sys": SimpleNamespace(version="pinned", path=()),
    "flyball.app.release.platform": SimpleNamespace(machine=lambda: "pinned"),
    "flyball.app.release._MADE": {},
    "flyball.runtime.ledger.SETTLE_S": 0,
}


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a history."""

    flyball_log: int = FORMAT
    made_by: str
    tenant: str
    log: str
    size: int
    checkpoint: str
    vkey: str
    key: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A record: the leaf, and of each private field the stored bytes and the salt that open its commitment."""

    leaf: msgspec.Raw
    private: dict[str, msgspec.Raw]
    salts: dict[str, str]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the journal, by the name of its table."""

    row: str
    value: msgspec.Raw


@contextmanager
def pinned() -> Iterator[None]:
    """Within it a release is that of the code alone, whatever machine this is."""
    with ExitStack() as stack:
        for what, value in PINNED.items():
            stack.enter_context(mock.patch(what, value))
        yield


async def record(name: str) -> tuple[bytes, dict[str, bytes]]:
    """The history of this name, played now, and the content that it refers to by digest."""
    lab, drawer = PLAYS[name].lab(name)
    with pinned():
        async with lab:
            await PLAYS[name].act(lab, drawer)
    return written(lab)


def written(lab: Lab) -> tuple[bytes, dict[str, bytes]]:
    """What a Lab's log holds, as it stands: nothing of it is recovered. And the content that it refers to."""
    bench = lab._bench
    view, ring = bench.journal.view(TENANT), bench._keyring
    log, frontier = view.tree()
    stored = view.records(limit=ALL)
    note = bench._signer.sign(log, f"lab/t/{TENANT}", frontier, lambda start, end: [
        leaf_hash(one.leaf) for one in stored[start:end]
    ])  # fmt: skip
    head = Head(
        made_by=__version__, tenant=TENANT, log=log, size=frontier.size, checkpoint=note,
        vkey=bench._signer.verifier_key(), key=ring.pseudonym(TENANT).hex(),
    )  # fmt: skip
    record = Recorder(bench.journal, ring, bench.clock, bench.entropy)
    content = {row.id: row.content for row in view.rows(BlobRow)}
    lines = [msgspec.json.encode(head)]
    for one in stored:
        line = msgspec.json.encode(_line(one, record.disclose(TENANT, one, view)))
        if one.kind in SHARED:
            digest = sha256(line).hexdigest()
            content[digest], line = line, msgspec.json.encode({"same": digest})
        lines.append(line)
    for kind in ROWS:
        if kind not in (BlobRow, CheckpointRow):
            lines += [msgspec.json.encode(Kept(row=kind.TABLE, value=_json(row))) for row in view.rows(kind)]
    return b"\n".join([*lines, b""]), content


def _line(stored: Stored, opened: Any) -> Line:
    return Line(
        leaf=msgspec.Raw(stored.leaf), private={name: msgspec.Raw(data) for name, (_, data) in opened.items()},
        salts={name: salt.hex() for name, (salt, _) in opened.items()},
    )  # fmt: skip


def _json(row: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(row, order="sorted"))
