"""What rows say, held against the log: whoever edits the database beside its leaves decides nothing.

Rows make things quick to find; they are not in the tree. Before one of them decides, the leaves that made it are read.

Rules:

* Content is what its digest says. A layer's bundle is the one that the last activation put in force.
* A key speaks for the person and the groups that it was created for, until it is revoked in the log.
* A question is what its `asked` record shows. Approvals are the `approved` records of exactly this question, each
  sealed for its place with the person who gave it; a signature holds under the key that the log created.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from flyball.core.approval import leaf_cure, over, unmet
from flyball.core.commitment import check
from flyball.core.credential import verify_approval
from flyball.core.errors import FlyballError
from flyball.core.journal import BlobRow, BundleRow, KeyRow, PendingRow, Stored
from flyball.core.record import NO_RUN, Opened
from flyball.core.steps import bare
from flyball.ports.journal import View
from flyball.ports.recording import Recording

# What an approval covers by commitment: the intent repeats these verbatim.
COVERED: Final = ("args", "origins", "resource", "chain")
_DECISIONS: Final = frozenset({"approved", "rejected", "edited", "expired", "voided"})
_ALL: Final = 1_000_000


def content(view: View, digest: str) -> bytes | None:
    """What is kept under a digest; None where nothing is. Raises `journal_corrupt` where it is something else."""
    row = view.row(BlobRow, digest)
    if row is not None and hashlib.sha256(row.content).hexdigest() != digest:
        raise changed(f"the content kept as {digest[:12]} is another one")
    return row.content if row is not None else None


def activations(view: View) -> list[Mapping[str, Any]]:
    """What every activation of a tenant recorded, in order."""
    return [facts for kind, _, facts in _apart(view) if kind == "policy_activated"]


def in_force(view: View) -> list[BundleRow]:
    """The active bundles by layer; raises `journal_corrupt` where the log put others in force."""
    rows = view.rows(BundleRow)
    if {row.id: row.digest for row in rows} != {facts["layer"]: facts["digest"] for facts in activations(view)}:
        raise changed("the policies said to be in force are not those that were activated")
    return rows


def objection_to_key(view: View, row: KeyRow, person: Callable[[str], str]) -> str:
    """Why a key is not what the log made of it; empty where it is. `person` gives a pseudonym."""
    created: Mapping[str, Any] = {}
    revoked = False
    for kind, path, facts in _apart(view):
        if path == row.id and kind in ("key_created", "key_revoked"):
            created, revoked = (facts, False) if kind == "key_created" else (created, True)
    told = (created.get("public"), tuple(created.get("groups", ())), created.get("person"))
    if told != (row.public, row.groups, person(row.person)):
        return "no record of the log creates it as it is"
    return "it was revoked" if revoked and not row.revoked else ""


def misstated(row: PendingRow, asked: Opened, person: Callable[[str], str]) -> str:
    """Why what waits is not what its `asked` record shows; empty where it is. `person` gives a pseudonym."""
    facts: Mapping[str, Any] = asked.facts
    covers = facts["covers"]
    if (row.id, row.kind, row.run) != (facts["pending"], facts["kind"], asked.run) or row.path != bare(asked.path):
        return "it was asked for something else"
    if not row.over == facts["over"] == over(covers):
        return "its digest is not that of what is shown"
    cures = row.groups if row.kind == "approval" else tuple(leaf_cure(cure, person) for cure in row.groups)
    if cures != tuple(covers["cures"]) or row.expires != covers.get("expires", 0):
        return "it was asked of others, or for another time"
    private = asked.private
    if row.kind != "approval" or private is None:
        return ""
    opens = (check(covers[n], n, asked.salts[n], msgspec.json.encode(private[n])) for n in COVERED)
    return "" if all(opens) else "what is shown is not what its digest covers"


def ungiven(record: Recording, tenant: str, row: PendingRow, stored: Sequence[Stored], view: View) -> str:
    """Why the log does not hold the approvals that lift this; empty where it does. `stored`: the run's records."""
    given: list[dict[str, str]] = []
    for decision in _decisions(record, tenant, row, stored, view):
        if decision.kind != "approved":
            return f"it was {decision.kind}"
        if _stands(record, tenant, row, decision, view):
            given.append({"by": decision.facts["by"], "cure": decision.facts["cure"]})
    missing = unmet(row.groups, given) if row.groups else ("anybody",)
    return f"nobody approved it for {', '.join(missing)}" if missing else ""


def changed(why: str) -> FlyballError:
    """The error for a row that somebody changed beside the log."""
    fix = "flyball ledger verify says what else; restore a backup"
    return FlyballError("journal_corrupt", "the journal was changed beside its log", why, fix)


# parts ---------------------------------------------------------------------------------------------------------------
def _apart(view: View) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for stored in view.records(run=NO_RUN, limit=_ALL):
        if stored.kind in ("policy_activated", "key_created", "key_revoked"):
            yield stored.kind, stored.path, msgspec.json.decode(stored.leaf)["facts"]


def _decisions(
    record: Recording, tenant: str, row: PendingRow, stored: Sequence[Stored], view: View
) -> Iterator[Opened]:
    number = int(row.id.rpartition("#")[2])
    for one in stored:
        if one.kind in _DECISIONS and one.attempt == number and bare(one.path) == row.path:
            opened = record.open(tenant, one, view)
            if opened.facts["pending"] == row.id:
                yield opened


def _stands(record: Recording, tenant: str, row: PendingRow, approved: Opened, view: View) -> bool:
    facts: Mapping[str, Any] = approved.facts
    name = (approved.private or {}).get("person", "")
    if facts["over"] != row.over or not name or record.person(tenant, name) != facts["by"]:
        return False
    if facts["assurance"] == "host" and "key" not in facts:
        return True  # the host program vouches, and the record says so
    key = view.row(KeyRow, str(facts.get("key", "")))
    if key is None or key.person != name or objection_to_key(view, key, partial(record.person, tenant)):
        return False
    return verify_approval(b64decode(key.public), row.over, str(facts.get("sig", "")))
