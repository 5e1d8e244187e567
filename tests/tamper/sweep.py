"""What a spoiled row comes to, and which parts of a row are stated to be no evidence."""

from __future__ import annotations

import shutil
import sqlite3
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.tamper.database import Edit
from tests.tamper.world import Fast, Verdict, World

STATED: Final = {
    "blob.number": "SQLite's own number of a row",
    "body.number": "SQLite's own number of a row",
    "bundle.activated": "compared to a minute: the clock's before the record was sealed",
    "checkpoint.[*]": "a checkpoint that is missing is signed again; the one that counts is kept elsewhere",
    "checkpoint.time": "nobody is shown it",
    "claim.digest": "what a run's key stands for; the run's own record has its input",
    "epoch[[]taint[]].*": "stops what was decided before a taint; the taint itself is read from the records",
    "key.created": "given by whoever enrols the key; its leaf has the log's time",
    "pending[[]approval[]].default": "what happens when nobody decides in time: denied or asked again, never allowed",
    "run[[]*[]].active_ms": "time that counts against the run's own limit; what it used is charged to its budget",
    "run[[]ended[]].epoch": "a fence between two drivers: an ended run has none",
    "run[[]*[]].inbox": "a counter that wakes a run, which then reads its own records",
    "run[[]*[]].review": "asks a person to look at the run; whoever looks is shown its records",
    "run[[]*[]].started": "compared to a minute: the clock's before the record was sealed",
    "run[[]ended[]].ended": "compared to a minute: the clock's before the record was sealed",
    "run[[]waiting[]].state": "which of the live states: a driver looks at the run and sees",
    "run[[]ended[]].wake_at": "an ended run is not looked at",
    "run[[]waiting[]].wake_at": "when to look at the run again",
    "used[[]record[]].named": "how an append that is sent again is answered; what was answered before carries out "
    "nothing, and the step key itself is compared",
    "used[[]record[]].size": "how an append that is sent again is answered: as one that carries out nothing",
    "used[[]append[]].*": "how an append that is sent again is answered: as one that carries out nothing",
}


def stated(where: str) -> str:
    """Why a part of a row is no evidence; empty where it is."""
    found = [next((why for p, why in STATED.items() if fnmatchcase(one, p)), "") for one in where.split("+")]
    return "; ".join(found) if all(found) else ""


def outcome(edit: Edit, world: World, fast: Fast, copy: Path) -> Verdict | None:
    """What is said of a copy with this edit; None where the table itself refuses it."""
    spoiled = World(copy)
    for name in ("state", "keys"):
        shutil.rmtree(copy / name, ignore_errors=True)
        shutil.copytree(world.folder / name, copy / name)
    try:
        edit.apply(spoiled.database)
    except sqlite3.IntegrityError:
        return None
    return fast.verdict(spoiled)


def silent(edit: Edit, world: World, fast: Fast, copy: Path) -> bool:
    """Whether an edit passes that is not stated to be no evidence."""
    found = outcome(edit, world, fast, copy)
    return found is not None and found.how == "silent" and not stated(edit.where)
