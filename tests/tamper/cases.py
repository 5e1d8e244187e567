"""The tamper matrix: what somebody does, with what in their hands, and what catches it."""

from __future__ import annotations

import shutil
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from flyball.adapters.journal_sqlite.queries import TABLES
from flyball.core.canonical import decode, encode
from flyball.core.credential import SigningKey
from flyball.core.journal import EpochRow, KeyRow
from flyball.core.merkle import Frontier, leaf_hash, new_nodes
from flyball.core.record import NO_RUN, Event, leaf
from flyball.core.tiles import bundle_bytes, parse_bundle
from tests.tamper.world import Verdict, World

Spoil = Callable[[World], None]


@dataclass(frozen=True)
class Case:
    """One way to tamper. ``by``: who looks (`flyball verify`, `flyball ledger verify`); ``caught``: what they say, a
    check's name or an error's code; empty: out of reach for ``why``, and shown by the kept checkpoint alone."""

    name: str
    by: str
    spoil: Spoil
    caught: str
    why: str = ""

    def verdict(self, world: World) -> Verdict:
        """What is said of a copy after it was spoiled."""
        self.spoil(world)
        return world.offline() if self.by == OFFLINE else world.online()


OFFLINE, ONLINE = "flyball verify", "flyball ledger verify"


# an export, in the hands of somebody without a key; the manifest is made to fit ---------------------------------------
def entries(change: Callable[[list[bytes]], None]) -> Spoil:
    """Changes the records of the export."""

    def spoil(world: World) -> None:
        (path,) = (p for p in (world.export / "tile/entries").rglob("*") if p.is_file())
        found = list(parse_bundle(path.read_bytes(), int(path.name)))
        change(found)
        path.write_bytes(bundle_bytes(found) if found else b"")
        fit(world)

    return spoil


def fit(world: World) -> None:
    """Lists every file in the manifest as it is now."""
    path = world.export / "manifest.json"
    told = decode(path.read_bytes(), max_bytes=1 << 20)
    files = [p for p in world.export.rglob("*") if p.is_file() and p != path]
    names = {p.relative_to(world.export).as_posix(): sha256(p.read_bytes()).hexdigest() for p in files}
    path.write_bytes(encode({**told, "files": names}))


def files(pattern: str, change: Callable[[Sequence[bytes]], Sequence[bytes]]) -> Spoil:
    """Changes the contents of the files of a pattern, taken together."""

    def spoil(world: World) -> None:
        paths = sorted(p for p in world.export.glob(pattern) if p.is_file())
        for path, content in zip(paths, change([p.read_bytes() for p in paths]), strict=True):
            path.write_bytes(content)
        fit(world)

    return spoil


def _drop(world: World) -> None:
    sorted((world.export / "disclosures").iterdir())[0].unlink()
    fit(world)


def _older(world: World) -> None:
    shutil.rmtree(world.export)
    shutil.copytree(world.folder / "early", world.export)


def _rotated(contents: Sequence[bytes]) -> Sequence[bytes]:
    return [*contents[1:], contents[0]]


def _other_data(contents: Sequence[bytes]) -> Sequence[bytes]:
    told = [decode(one, max_bytes=1 << 20) for one in contents]
    return [encode({**one, "data": other["data"]}) for one, other in zip(told, [*told[1:], told[0]], strict=True)]


# the database, in the hands of somebody who may write it --------------------------------------------------------------
def sql(*statements: str) -> Spoil:
    """Runs statements on the database."""

    def spoil(world: World) -> None:
        with closing(sqlite3.connect(world.database)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return spoil


def rehashed(*statements: str) -> Spoil:
    """Runs statements, then makes the tree fit: nodes, frontier and size."""

    def spoil(world: World) -> None:
        sql(*statements)(world)
        with closing(sqlite3.connect(world.database)) as connection, connection:
            frontier, nodes = Frontier(), []
            for (leaf,) in connection.execute("SELECT leaf FROM record ORDER BY place"):
                frontier, made = new_nodes(frontier, leaf_hash(leaf))
                nodes += [(1, *node) for node in made[1:]]
            connection.execute("DELETE FROM node")
            connection.executemany("INSERT INTO node VALUES (?, ?, ?, ?)", nodes)
            connection.execute("UPDATE log SET size = ?, frontier = ?", (frontier.size, b"".join(frontier.hashes)))

    return spoil


def _key_beyond(world: World) -> None:
    """A whole record of a new key for the approver's person, with everything that a journal keeps of it."""
    key = SigningKey(name="eve", seed=b"eve".ljust(32, b"."))
    public = b64encode(key.public).decode()
    with closing(sqlite3.connect(world.database)) as connection, connection:
        place, time = connection.execute("SELECT max(place) + 1, max(time) FROM record").fetchone()
        known = connection.execute("SELECT leaf FROM record WHERE kind = 'key_created' LIMIT 1").fetchone()[0]
        facts = {**decode(known)["facts"], "key": key.id, "public": public}
        event = Event(kind="key_created", path=key.id, facts=facts)
        values = (place, NO_RUN, key.id, 0, "key_created", time, leaf(event, "local", time, {}))
        connection.execute("INSERT INTO record VALUES (?, 1, ?, ?, ?, ?, ?, ?, NULL)", values)
        connection.execute("INSERT INTO used VALUES (1, ?, 0, ? % 1099511627776, 0, NULL)", (event.id, place))
        rows = [TABLES[KeyRow].row(data) for (data,) in connection.execute("SELECT data FROM key")]
        mine = next(row for row in rows if row.public == decode(known)["facts"]["public"])
        moved = TABLES[EpochRow].row(connection.execute("SELECT data FROM epoch WHERE id = 'directory'").fetchone()[0])
        for fresh in (replace(mine, id=key.id, public=public), replace(moved, value=moved.value + 1)):
            connection.execute(TABLES[type(fresh)].put, TABLES[type(fresh)].values(1, fresh))
    rehashed()(world)


def _empty(world: World) -> None:
    world.database.write_bytes(b"")


def _torn(world: World) -> None:
    raw = world.database.read_bytes()
    world.database.write_bytes(raw[: len(raw) - 6000])


def _root(world: World) -> None:
    world.root.write_text("00" * 32)


def _keyring(statement: str) -> Spoil:
    def spoil(world: World) -> None:
        with closing(sqlite3.connect(world.keyring)) as connection, connection:
            connection.execute(statement)

    return spoil


_LAST: Final = "(SELECT max(place) FROM record)"
_SWAP: Final = (
    "UPDATE {0} SET {1} = CASE {2} WHEN {3} THEN (SELECT {1} FROM {0} WHERE {2} = {4}) "
    "ELSE (SELECT {1} FROM {0} WHERE {2} = {3}) END WHERE {2} IN ({3}, {4})"
)
_ANY: Final = "(SELECT min(place) FROM record WHERE kind = 'intent')"
_OTHER: Final = "(SELECT max(place) FROM record WHERE kind = 'intent')"
_EDIT: Final = "UPDATE record SET leaf = CAST(replace(leaf, 'executed', 'exEcuted') AS BLOB) WHERE kind = 'outcome'"
_MOVE: Final = f"UPDATE record SET payload = (SELECT payload FROM record WHERE place = {_ANY}) WHERE place = {_OTHER}"
_TRIGGER: Final = "CREATE TRIGGER x AFTER INSERT ON record BEGIN SELECT 1; END"
_LOST: Final = "DELETE FROM used WHERE what = 0 AND id LIKE '%/asked'"
_OUTSIDE: Final = "the signer's own memory was put back with the database"
_UNSIGNED: Final = "the next checkpoint signs what is there; with `--approver` such a key's approvals do not count"

CASES: Final = (
    Case("a record is edited", OFFLINE, entries(lambda e: e.__setitem__(9, e[9].replace(b":1", b":2"))), "entries"),
    Case("a record is deleted", OFFLINE, entries(lambda e: e.__delitem__(9)), "entries"),
    Case("a record is inserted", OFFLINE, entries(lambda e: e.insert(9, e[9])), "entries"),
    Case("records are reordered", OFFLINE, entries(lambda e: e.insert(9, e.pop(10))), "entries"),
    Case("the tail is cut off", OFFLINE, entries(lambda e: e.__delitem__(slice(-3, None))), "entries"),
    Case("the records are emptied", OFFLINE, entries(list.clear), "entries"),
    Case("a record is torn", OFFLINE, files("tile/entries/**/*", lambda c: [c[0][:-1]]), "entries"),
    Case("a tile is changed", OFFLINE, files("tile/0/**/*", lambda c: [bytes(32) + c[0][32:]]), "tiles"),
    Case("a policy is swapped", OFFLINE, files("policies/*", lambda c: [b"{}"]), "policies"),
    Case("the parts of a release are swapped", OFFLINE, files("releases/*", _rotated), "releases"),
    Case("a disclosed value is edited", OFFLINE, files("disclosures/*", _other_data), "disclosures"),
    Case("an older checkpoint is another's", OFFLINE, files("checkpoints/*", _rotated), "older checkpoints"),
    Case("an older export is handed out", OFFLINE, _older, "", "it is a true beginning of the log"),
    Case("a disclosed value is left out", OFFLINE, _drop, "", "what to show is the exporter's choice; it is counted"),
    Case("a leaf is edited", ONLINE, sql(_EDIT), "entries"),
    Case("a leaf is edited and the tree made to fit", ONLINE, rehashed(_EDIT), "history_changed"),
    Case("the last record is deleted", ONLINE, sql(f"DELETE FROM record WHERE place = {_LAST}"), "journal_corrupt"),
    Case("the last record is deleted and the tree made to fit", ONLINE,
         rehashed(f"DELETE FROM record WHERE place = {_LAST}"), "signer_ahead"),
    Case("records are reordered and the tree made to fit", ONLINE,
         rehashed(_SWAP.format("record", "leaf", "place", _ANY, _OTHER)), "history_changed"),
    Case("the database is emptied", ONLINE, _empty, "other_log"),
    Case("the database is deleted", ONLINE, lambda w: w.database.unlink(), "other_log"),
    Case("the log is renamed", ONLINE, sql("UPDATE log SET id = 'ab'"), "other_log"),
    Case("the tenant is renamed", ONLINE, sql("UPDATE log SET tenant = 'other'"), "wrong_origin"),
    Case("an older database under a newer signer", ONLINE, lambda w: w.restore("state"), "signer_ahead"),
    Case("an older database and its signer", ONLINE, lambda w: w.restore("state", "keys"), "", _OUTSIDE),
    Case("a key is put in beyond the last signature", ONLINE, _key_beyond, "", _UNSIGNED),
    Case("the file ends early", ONLINE, _torn, "journal_corrupt"),
    Case("a trigger is added", ONLINE, sql(_TRIGGER), "journal_corrupt"),
    Case("payloads are swapped", ONLINE, sql(_SWAP.format("record", "payload", "place", _ANY, _OTHER)), "payloads"),
    Case("a payload is moved", ONLINE, sql(_MOVE), "payloads"),
    Case("a payload is deleted", ONLINE, sql(f"UPDATE record SET payload = NULL WHERE place = {_ANY}"), "payloads"),
    Case("a large value is deleted", ONLINE, sql("DELETE FROM body"), "payloads"),
    Case("a subject's key is erased", ONLINE, _keyring("UPDATE subject SET wrapped = NULL, erased = 1"), "payloads"),
    Case("subjects' keys are deleted", ONLINE, _keyring("DELETE FROM subject"), "payloads"),
    Case("the root key is another one", ONLINE, _root, "wrong_root_key"),
    Case("a signed checkpoint is another one", ONLINE,
         sql("UPDATE checkpoint SET data = (SELECT data FROM checkpoint ORDER BY id LIMIT 1)"), "journal"),
    Case("a record is not found by its run", ONLINE, sql(_LOST), "look-ups"),
)  # fmt: skip
