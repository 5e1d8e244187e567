"""Somebody edits the database between two lives of the process: what a row says lifts, permits and starts nothing."""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flyball.core.credential import SigningKey, format_key
from flyball.core.journal import BlobRow, BundleRow, KeyRow, PendingRow, RunRow
from tests.tamper.database import ROWS
from tests.tamper.world import World, entered, said, say

LOOKED = 2  # intents before what waits: the run itself, and its look
Change = Callable[[PendingRow], PendingRow]


@pytest.fixture
def copy(world: World, tmp_path: Path) -> World:
    return world.copy(tmp_path / "copy")


def waiting(kind: str = "approval") -> Any:
    return next(one for one in say("approvals")["approvals"] if one["kind"] == kind)


def rows(world: World, kind: Any) -> list[Any]:
    with closing(sqlite3.connect(world.database)) as connection:
        return [ROWS[kind.TABLE].row(data) for (data,) in connection.execute(f"SELECT data FROM {kind.TABLE}")]


def put(world: World, row: Any) -> None:
    table = ROWS[row.TABLE]
    with closing(sqlite3.connect(world.database)) as connection, connection:
        names = ("log", "id", "data", *table.columns)
        marks = ", ".join("?" * len(names))
        connection.execute(f"DELETE FROM {row.TABLE} WHERE id = ?", (row.id,))
        connection.execute(f"INSERT INTO {row.TABLE} ({', '.join(names)}) VALUES ({marks})", table.values(1, row))


def kinds(world: World, run: str) -> list[str]:
    with closing(sqlite3.connect(world.database)) as connection:
        return [kind for (kind,) in connection.execute("SELECT kind FROM record WHERE run = ? ORDER BY place", (run,))]


def edited(world: World, change: Change, kind: str = "approval") -> str:
    """Changes the row of what waits, and makes its run ready to go on; gives the run."""
    row = next(row for row in rows(world, PendingRow) if row.kind == kind and row.state == "open")
    run = next(one for one in rows(world, RunRow) if one.id == row.run)
    put(world, change(row))
    put(world, msgspec.structs.replace(run, state="ready", inbox=run.inbox + 1) if kind == "approval" else run)
    return str(row.run)


def replaced(**changes: Any) -> Change:
    return lambda row: msgspec.structs.replace(row, version=row.version + 1, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "granted"},
        {"state": "granted", "given": ({"by": "ab" * 16, "cure": "project/finance"},)},
        {"state": "granted", "groups": ()},
        {"state": "consumed"},
    ],
    ids=["granted", "granted by somebody", "needs nobody", "used"],
)
def test_an_approval_that_only_a_row_gives_lifts_nothing(copy: World, changes: dict[str, Any]) -> None:
    run = edited(copy, replaced(**changes))
    with entered(copy.folder):
        said("resume", run)
    assert kinds(copy, run).count("intent") == LOOKED


def test_what_a_row_granted_is_asked_again(copy: World) -> None:
    run = edited(copy, replaced(state="granted"))
    with entered(copy.folder):
        said("resume", run)
        again = waiting()
        assert again["run"] == run and again["id"].endswith("#2")
        say("approve", again["id"], "--reason", "it is due", "--resume", who="fay")
    assert kinds(copy, run).count("intent") == LOOKED + 1


def test_the_approval_of_another_step_lifts_nothing(copy: World) -> None:
    used = next(row for row in rows(copy, PendingRow) if row.state == "consumed")
    run = edited(
        copy, lambda row: msgspec.structs.replace(used, id=row.id, run=row.run, path=row.path, state="granted")
    )
    with entered(copy.folder):
        said("resume", run)
    assert kinds(copy, run).count("intent") == LOOKED


@pytest.mark.parametrize("kind", ["approval", "question", "unknown"])
@pytest.mark.parametrize("changes", [{"over": "ab" * 32}, {"groups": ("project/sales",)}, {"expires": 1 << 52}])
def test_what_was_changed_while_it_waited_cannot_be_decided(copy: World, kind: str, changes: dict[str, Any]) -> None:
    edited(copy, replaced(**changes), kind)
    with entered(copy.folder):
        one = waiting(kind)
        command = ("approve", one["id"]) if kind == "approval" else ("answer", one["id"], "true")
        answer = said(*command, "--reason", "it is due", who="fay")
    assert answer["kind"] == "error" and answer["code"] == "journal_corrupt"


def test_a_key_that_the_log_did_not_create_decides_nothing(copy: World) -> None:
    key = SigningKey(name="eve", seed=b"eve".ljust(32, b"."))
    row = next(row for row in rows(copy, KeyRow))
    put(copy, msgspec.structs.replace(row, id=key.id, person="user:eve", public=b64encode(key.public).decode()))
    path = copy.folder / "keys" / "eve.key"
    path.write_text(format_key(key))
    path.chmod(0o600)
    with entered(copy.folder):
        answer = said("approve", waiting()["id"], "--reason", "mine", who="eve")
    assert answer["code"] == "journal_corrupt"


def test_a_policy_whose_content_was_changed_never_decides(copy: World) -> None:
    bundle = next(row for row in rows(copy, BundleRow))
    blob = next(row for row in rows(copy, BlobRow) if row.id == bundle.digest)
    put(copy, msgspec.structs.replace(blob, content=blob.content.replace(b"cents", b"centz")))
    with entered(copy.folder):
        (copy.folder / "policies" / "desk.cedar").write_text('@id("any") permit (principal, action, resource);')
        answer = said("run", "handle", "1")
    assert answer["code"] == "journal_corrupt" and "the content kept as" in answer["why"]


@pytest.mark.parametrize("digest", ["another", "none"])
def test_policies_that_were_not_activated_are_not_in_force(copy: World, digest: str) -> None:
    bundle = next(row for row in rows(copy, BundleRow))
    if digest == "none":
        with closing(sqlite3.connect(copy.database)) as connection, connection:
            connection.execute("DELETE FROM bundle")
    else:
        put(copy, msgspec.structs.replace(bundle, digest=rows(copy, BlobRow)[0].id + "0"))
    with entered(copy.folder):
        answer = said("run", "handle", "1")
    assert answer["code"] == "journal_corrupt" and "not those that were activated" in answer["why"]
