"""What rows say, held against the log: whoever edits the database beside its leaves decides nothing.

Rows make things quick to find; they are not in the tree. Before one of them decides, the leaves that made it are read.

Rules:

* Content is what its digest says. A layer's bundle is the one that its last activation put in force.
* A key speaks for the person and the groups that it was created for, until the log revokes it.
* A question is what its `asked` record shows. Approvals are the `approved` records of exactly this question, each
  sealed at its place with the person who gave it; a signature holds under the key that the log created.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from flyball.core.approval import leaf_cure, over, unmet
from flyball.core.credential import verify_approval
from flyball.core.errors import FlyballError
from flyball.core.journal import BlobRow, BundleRow, KeyRow, PendingRow, Stored
from flyball.core.record import Opened
from flyball.core.steps import bare

# Records that decide what waits.
DECISIONS: Final = frozenset({"approved", "rejected", "edited", "expired", "voided"})
# Gives a person's pseudonym.
Person = Callable[[str], str]


def content(row: BlobRow) -> bytes:
    """What is kept under a digest; raises FlyballError `journal_corrupt` where it is something else."""
    if hashlib.sha256(row.content).hexdigest() != row.id:
        raise changed(f"the content kept as {row.id[:12]} is another one")
    return row.content


def activations(apart: Iterable[Stored]) -> list[Mapping[str, Any]]:
    """What every activation of policies recorded, in order. `apart`: the records of no run."""
    return [_facts(one) for one in apart if one.kind == "policy_activated"]


def in_force(rows: list[BundleRow], apart: Iterable[Stored]) -> list[BundleRow]:
    """The rows of active bundles; raises FlyballError `journal_corrupt` where the log put others in force."""
    if {row.id: row.digest for row in rows} != {facts["layer"]: facts["digest"] for facts in activations(apart)}:
        raise changed("the policies said to be in force are not those that were activated")
    return rows


def key_objection(row: KeyRow, apart: Iterable[Stored], person: Person) -> str:
    """Why a key is not what the log made of it; empty where it is. `apart`: the records of no run."""
    kinds = {one.kind: one for one in apart if one.path == row.id and one.kind in ("key_created", "key_revoked")}
    created = _facts(kinds["key_created"]) if "key_created" in kinds else {}
    told = (created.get("public"), tuple(created.get("groups", ())), created.get("person"))
    if told != (row.public, row.groups, person(row.person)):
        return "no record creates it as it is"
    return "the log revokes it" if "key_revoked" in kinds and not row.revoked else ""


def misstated(row: PendingRow, asked: Opened, person: Person) -> str:
    """Why what waits is not what its `asked` record shows; empty where it is."""
    facts: Mapping[str, Any] = asked.facts
    covers = facts["covers"]
    of = (row.id, row.kind, row.run, row.path)
    if of != (facts["pending"], facts["kind"], asked.run, bare(asked.path)):
        return "it was asked for something else"
    if not row.over == facts["over"] == over(covers):
        return "its digest is not that of what is shown"
    cures = row.groups if row.kind != "question" else tuple(leaf_cure(cure, person) for cure in row.groups)
    # Of an unknown outcome only its payload says whom it may be asked of: an owner, and who asked for the run.
    told = tuple(covers["cures"]) if row.kind != "unknown" else _settlers(asked)[: len(cures)]
    if cures != told or row.expires != covers.get("expires", 0):
        return "it was asked of others, or for another time"
    return ""


def unapproved(
    row: PendingRow, decisions: Iterable[Opened], person: Person, key: Callable[[str], KeyRow | None],
    owners: Collection[str] = (),
) -> str:  # fmt: skip
    """Why the log does not hold the approvals that lift this; empty where it does. `decisions`: the records of its step
    that decide; `key`: the key of an id, where the log created it; `owners` of credentials, whose word does not count,
    by pseudonym."""
    given = []
    for decision in decisions:
        facts: Mapping[str, Any] = decision.facts
        if facts["pending"] != row.id:
            continue
        if decision.kind != "approved":
            return f"it was {decision.kind}"
        if facts["by"] not in owners and _stands(row, decision, person, key):
            given.append({"by": facts["by"], "cure": facts["cure"]})
    missing = unmet(row.groups, given) if row.groups else ("anybody",)
    return f"the log holds no approval of {', '.join(missing)}" if missing else ""


def moment(micros: int) -> datetime:
    """A time that a row holds, in microseconds; raises FlyballError `journal_corrupt` for one that no calendar has."""
    try:
        return datetime.fromtimestamp(micros / 1_000_000, UTC)
    except (OverflowError, ValueError, OSError) as bad:
        raise changed(f"{micros} is no time") from bad


def changed(why: str) -> FlyballError:
    """The error for a row that somebody changed beside the log."""
    fix = "flyball ledger verify says what else; restore a backup"
    return FlyballError("journal_corrupt", "the journal was changed beside its log", why, fix)


def _stands(row: PendingRow, approved: Opened, person: Person, key: Callable[[str], KeyRow | None]) -> bool:
    facts: Mapping[str, Any] = approved.facts
    # A payload opens at its own place only: an approval that was written into the file names nobody.
    name = (approved.private or {}).get("person", "")
    if facts["over"] != row.over or not name or person(name) != facts["by"]:
        return False
    if facts["assurance"] == "host" and "key" not in facts:
        return True  # the host program vouches, and the record says so
    used = key(str(facts.get("key", "")))
    if used is None or used.person != name:
        return False
    return verify_approval(b64decode(used.public), row.over, str(facts.get("sig", "")))


def _settlers(asked: Opened) -> tuple[str, ...]:
    shown = (asked.private or {}).get("shown", {})
    return ("project/owner", f"project/{shown.get('by')}")


def _facts(stored: Stored) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = msgspec.json.decode(stored.leaf)["facts"]
    return facts
