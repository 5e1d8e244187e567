"""What an export carries besides the log: policies and releases by digest, and disclosed values.

Rules:

* Every policy bundle that a leaf names is there, and is what its digest says. Release parts may be kept back (code is
  often secret); what is there must be what its name says.
* What decided was in force: an intent names exactly the bundles that were activated last, layer by layer, and a release
  that was loaded before. A denial or a question may still name the bundle before: its append is not fenced.
* A disclosed value is one field of one record: salt and exact stored bytes open the commitment in that record's leaf.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from flyball.core.canonical import decode
from flyball.core.commitment import check
from flyball.core.errors import FlyballError
from flyball.verify.files import MAX_FILE, Files
from flyball.verify.leaf import Leaf, table, text, texts
from flyball.verify.report import Check, Findings, counted, named

POLICIES: Final = "policies"
RELEASES: Final = "releases"
DISCLOSURES: Final = "disclosures"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FILE: Final = re.compile(r"[a-z]+/([0-9a-f]{64})(\.json)?")


class Content:
    """Collects the digests that leaves name, then looks at the files."""

    kinds: Final = frozenset({
        "decision", "intent", "asked", "policy_activated", "release_loaded", "run_started", "run_moved",
    })  # fmt: skip

    def __init__(self) -> None:
        self._bundles: dict[str, str] = {}
        self._parts: dict[str, str] = {}
        self._in_force: dict[str, str] = {}
        self._activated: set[str] = set()
        self._loaded: set[str] = {""}
        self._right: list[Any] | None = None
        self._policies, self._releases = Findings("policies"), Findings("releases")

    def see(self, leaf: Leaf) -> None:
        """Takes the next leaf of the log that is of one of the `kinds`."""
        if leaf.kind == "policy_activated":
            digest = text(leaf.facts, "digest")
            self._bundles.setdefault(digest, leaf.id)
            self._in_force[text(leaf.facts, "layer")] = digest
            self._activated.add(digest)
            self._right = None
        elif leaf.kind == "release_loaded":
            self._loaded.add(text(leaf.facts, "digest"))
            for digest in table(leaf.facts, "parts").values():
                if type(digest) is str:
                    self._parts.setdefault(digest, leaf.id)
        else:
            self._decided(leaf)

    def _decided(self, leaf: Leaf) -> None:
        release = text(leaf.facts, "to" if leaf.kind == "run_moved" else "release")
        if release not in self._loaded:
            self._releases.add(f"{named(leaf.id)} stands on {named(release)}, which was not loaded before it")
        if leaf.kind == "intent" and self._right is not None and leaf.facts.get("bundles") == self._right:
            return  # as the intent before, and nothing was activated since
        bundles = texts(leaf.facts, "bundles")
        for digest in bundles:
            self._bundles.setdefault(digest, leaf.id)
        if leaf.kind == "intent" and {*bundles} != {*self._in_force.values()}:
            self._policies.add(f"{named(leaf.id)} was not decided by the policies that were in force")
        elif leaf.kind == "intent":
            self._right = leaf.facts.get("bundles")
        elif not self._activated.issuperset(bundles):
            self._policies.add(f"{named(leaf.id)} was decided by policies that were never in force before it")

    def checks(self, files: Files) -> Iterable[Check]:
        """What was found in the folders, once the last leaf was seen."""
        policies, releases = self._policies, self._releases
        there = _by_digest(files, POLICIES, policies)
        for digest, leaf in self._bundles.items():
            if not _DIGEST.fullmatch(digest):
                policies.add(f"{named(leaf)} names {named(digest)}, which is no digest")
            elif digest not in there:
                policies.add(f"{named(leaf)} names the bundle {digest}, which is not here")
        yield policies.check(f"{counted(len(self._bundles), 'bundle')} named by the log, all here and as named")
        parts = _by_digest(files, RELEASES, releases)
        kept = len(self._parts.keys() - parts)
        yield releases.check(f"{counted(len(parts), 'part')} here and as named, {kept} kept back")


class Disclosures:
    """The disclosed values, matched with the leaves as they pass."""

    def __init__(self, files: Files) -> None:
        self._findings = Findings("disclosures")
        self._waiting: dict[str, list[_Disclosed]] = {}
        self.records = self._waiting.keys()
        self.matched = 0
        for path in files.under(DISCLOSURES):
            raw = files.read(path)
            found = None if raw is None else _read(path, raw)
            if found is None:
                self._findings.add(f"{named(path)} is no disclosure")
            else:
                self._waiting.setdefault(found.record, []).append(found)

    def see(self, leaf: Leaf) -> None:
        """Takes the next leaf of the log that is one of the disclosed `records`."""
        for one in self._waiting.pop(leaf.id):
            if check(leaf.commit.get(one.field, ""), one.field, one.salt, one.data):
                self.matched += 1
            else:
                self._findings.add(f"{named(one.path)} is not {named(one.field)} of {named(leaf.id)}")

    def checks(self) -> Iterable[Check]:
        """What was found, once the last leaf was seen."""
        for record, waiting in self._waiting.items():
            self._findings.add(f"{named(waiting[0].path)} is of the record {named(record)}, which is not in the log")
        yield self._findings.check(f"{counted(self.matched, 'value')} disclosed, all match their commitments")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disclosed:
    path: str
    record: str
    field: str
    salt: bytes
    data: bytes


def _read(path: str, raw: bytes) -> _Disclosed | None:
    try:
        value = decode(raw, max_bytes=MAX_FILE)
        if type(value) is not dict or value.keys() != {"record", "field", "salt", "data"}:
            return None
        data = base64.b64decode(text(value, "data"), validate=True)
        if base64.b64encode(data).decode() != value["data"]:
            return None
        salt = bytes.fromhex(text(value, "salt"))
    except (FlyballError, binascii.Error, ValueError):
        return None
    return _Disclosed(path=path, record=text(value, "record"), field=text(value, "field"), salt=salt, data=data)


def _by_digest(files: Files, folder: str, findings: Findings) -> set[str]:
    found: set[str] = set()
    for path in files.under(folder):
        raw, match = files.read(path), _FILE.fullmatch(path)
        if raw is None:
            continue
        if match is None or sha256(raw).hexdigest() != match[1]:
            findings.add(f"{named(path)} is not what its name says")
        else:
            found.add(match[1])
    return found
