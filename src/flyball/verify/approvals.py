"""Does every approval cover exactly what ran, given by people who may, once?

Rules:

* What was asked has a digest, `over`, of exactly what is covered; the approvers' records repeat it.
* An intent under an approval is of the run, step, tenant, action and schema that was asked about, and repeats the
  commitments of arguments, origins, resource and authority chain verbatim. So a used approval fits no second step.
* Every cure has as many different people as it asks for, all before the intent; nobody counts for two cures, nobody
  approves what they asked for themselves or edited, or what uses a credential of theirs.
* A key's signature is checked against the key that the log itself created, with the group it was created with, not
  revoked, of the person it was created for: one key never speaks for two people. What a host program vouches for has
  no signature; it is counted apart, so that a reader knows.
* Whoever holds the log's key can write a key of their own into a log that nobody else has seen. A reader who knows the
  approvers' keys from elsewhere passes them (`approvers`): then nothing else counts.
* What was rejected, edited, expired or voided lifts nothing. While a question stands at a step, or was refused there,
  nothing runs at that step without it under the same policies.
* An approval is looked at before its intent is sealed; `SLACK_US` is how much later the intent's own time may be.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flyball.core.approval import over
from flyball.core.credential import enrolled, verify_approval
from flyball.core.errors import FlyballError
from flyball.verify.leaf import Leaf, number, step_of, table, text, texts
from flyball.verify.report import Check, Findings, counted, named

SLACK_US: Final = 60_000_000
COMMITTED: Final = ("args", "origins", "resource", "chain")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CURE: Final = re.compile(r"(?P<name>[^/]+/.+?)(?::(?P<people>[2-9]))?")


@dataclass(slots=True)
class _Asked:
    leaf: Leaf
    covers: Mapping[str, Any]
    over: str
    given: dict[str, set[str]] = field(default_factory=dict)
    settled: str = ""
    gone: bool = False
    used: str = ""


@dataclass(frozen=True, slots=True)
class _Key:
    public: bytes
    groups: tuple[str, ...]
    person: str


class Approvals:
    """Follows every question to people, their answers, and what ran because of them.

    ``approvers`` are the ids of the only keys whose approvals count; None: those that the log itself created, and what
    the host program vouches for.
    """

    def __init__(self, approvers: Collection[str] | None = None) -> None:
        self._approvers = approvers
        self._speaks: dict[str, str] = {}
        self._findings = Findings("approvals")
        self._asked: dict[str, _Asked] = {}
        self._latest: dict[tuple[str, str], _Asked] = {}
        self._keys: dict[str, _Key] = {}
        self._askers: dict[str, str] = {}
        self._editors: dict[tuple[str, str], set[str]] = {}
        self._signed = self._vouched = self._used = 0
        self._by_kind: Mapping[str, Callable[[Leaf], None]] = {
            "run_started": self._run_started, "key_created": self._key_created, "key_revoked": self._key_revoked,
            "asked": self._ask, "approved": self._approved, "intent": self._intent, "answered": self._answered,
            "rejected": self._settled, "edited": self._edited, "expired": self._settled, "voided": self._settled,
        }  # fmt: skip
        self.kinds = self._by_kind.keys()

    def see(self, leaf: Leaf) -> None:
        """Takes the next leaf of the log that is of one of the `kinds`."""
        self._by_kind[leaf.kind](leaf)

    def checks(self) -> Iterable[Check]:
        """What was found, once the last leaf was seen."""
        given = counted(self._signed + self._vouched, "approval")
        how = f"{self._signed} signed by a person's key, {self._vouched} vouched for by the host program"
        yield self._findings.check(f"{given} ({how}); {counted(self._used, 'intent')} ran under one, as asked")

    def _run_started(self, leaf: Leaf) -> None:
        self._askers.setdefault(leaf.run, text(leaf.facts, "by"))

    def _key_created(self, leaf: Leaf) -> None:
        name, public = text(leaf.facts, "key"), _bytes(text(leaf.facts, "public"))
        try:
            if public is None or enrolled(public) != name:
                raise FlyballError("bad_key", "the key is refused", "its id is not made of it")
        except FlyballError as bad:
            self._findings.add(f"{named(leaf.id)} creates no key: {bad.why}")
            return
        self._keys[name] = _Key(public, texts(leaf.facts, "groups"), text(leaf.facts, "person"))

    def _key_revoked(self, leaf: Leaf) -> None:
        if self._keys.pop(text(leaf.facts, "key"), None) is None:
            self._findings.add(f"{named(leaf.id)} revokes a key that is not there")

    def _ask(self, leaf: Leaf) -> None:
        pending, covers, digest = text(leaf.facts, "pending"), table(leaf.facts, "covers"), text(leaf.facts, "over")
        if not pending or pending in self._asked:
            self._findings.add(f"{named(leaf.id)} asks under a name that is empty or taken")
            return
        if covers and over(covers) != digest:
            self._findings.add(f"{named(leaf.id)}: what it covers is not what its digest says")
        self._asked[pending] = asked = _Asked(leaf, covers, digest)
        if text(leaf.facts, "kind") == "approval":
            self._latest[leaf.run, step_of(leaf.path)] = asked

    def _about(self, leaf: Leaf) -> _Asked | None:
        asked = self._asked.get(text(leaf.facts, "pending"))
        if asked is None:
            self._findings.add(f"{named(leaf.id)} is about a question that nobody asked")
        elif text(leaf.facts, "over") != asked.over:
            self._findings.add(f"{named(leaf.id)} is over something else than {named(asked.leaf.id)} asked")
        else:
            return asked
        return None

    def _answered(self, leaf: Leaf) -> None:
        self._about(leaf)

    def _settled(self, leaf: Leaf) -> None:
        asked = self._about(leaf)
        if asked is not None and not asked.settled:
            asked.settled = leaf.id
            # An edit or a changed policy makes the step a new proposal; a refusal or an expiry ends it.
            asked.gone = leaf.kind in ("edited", "voided")

    def _edited(self, leaf: Leaf) -> None:
        self._settled(leaf)
        self._editors.setdefault((leaf.run, step_of(leaf.path)), set()).add(text(leaf.facts, "by"))

    def _approved(self, leaf: Leaf) -> None:
        asked = self._about(leaf)
        if asked is None:
            return
        objection = self._objection(leaf, asked) or self._signature(leaf, asked)
        if objection:
            self._findings.add(f"{named(leaf.id)} does not count: {objection}")
            return
        asked.given.setdefault(text(leaf.facts, "cure"), set()).add(text(leaf.facts, "by"))

    def _objection(self, leaf: Leaf, asked: _Asked) -> str:
        by, cure = text(leaf.facts, "by"), text(leaf.facts, "cure")
        if asked.settled:
            return f"the question was settled by {named(asked.settled)}"
        if not by:
            return "it names nobody"
        if cure not in texts(asked.covers, "cures"):
            return f"{named(cure)} was not asked for"
        if any(by in people for other, people in asked.given.items() if other != cure):
            return "the same person has approved for another group"
        if by == self._askers.get(asked.leaf.run):
            return "it is by the person who asked for the run"
        if by in self._editors.get((asked.leaf.run, step_of(asked.leaf.path)), ()):
            return "it is by a person who edited the proposal"
        if by in texts(asked.leaf.facts, "owners"):
            return "it is by a person whose credential it uses"
        return ""

    def _signature(self, leaf: Leaf, asked: _Asked) -> str:
        assurance, name = text(leaf.facts, "assurance"), text(leaf.facts, "key")
        if self._approvers is not None and name not in self._approvers:
            return "it is by none of the keys that were given"
        if assurance == "host" and not name:
            self._vouched += 1
            return ""
        if assurance not in ("host", "key"):
            return f"the assurance {named(leaf.facts.get('assurance'))} may not approve"
        key = self._keys.get(name)
        if key is None:
            return f"the log holds no valid key {named(name)}"
        by = text(leaf.facts, "by")
        if by != (key.person or by) or self._speaks.setdefault(name, by) != by:
            return f"the key {named(name)} is another person's"
        match = _CURE.fullmatch(text(leaf.facts, "cure"))
        group = match["name"].partition("/")[2] if match else ""
        # A group that names a person ("user:kim") is not written into a key's record.
        if ":" not in group and group not in key.groups:
            return f"the key {named(name)} is not of the group {named(group)}"
        if not _DIGEST.fullmatch(asked.over) or not verify_approval(key.public, asked.over, text(leaf.facts, "sig")):
            return f"the signature by the key {named(name)} does not hold"
        self._signed += 1
        return ""

    def _intent(self, leaf: Leaf) -> None:
        lifted = leaf.facts.get("approval")
        if not lifted:
            latest = self._latest.get((leaf.run, step_of(leaf.path)))
            if latest is not None and not latest.gone and _bundles(latest.leaf) == _bundles(leaf):
                self._findings.add(f"{named(leaf.id)} ran without the approval that {named(latest.leaf.id)} asked for")
            elif text(leaf.facts, "outcome") == "require_approval":
                self._findings.add(f"{named(leaf.id)} needed an approval and names none")
            return
        self._used += 1
        asked = self._asked.get(text(table(leaf.facts, "approval"), "pending"))
        if asked is None:
            self._findings.add(f"{named(leaf.id)} ran under an approval that nobody asked for")
            return
        for problem in self._differences(leaf, asked):
            self._findings.add(f"{named(leaf.id)} ran under {named(asked.leaf.id)}: {problem}")
        asked.used = asked.used or leaf.id

    def _differences(self, leaf: Leaf, asked: _Asked) -> Iterable[str]:
        if text(table(leaf.facts, "approval"), "over") != asked.over:
            yield "the digest is of something else"
        expected = {"run": leaf.run, "path": step_of(leaf.path), "tenant": leaf.tenant}
        expected |= {name: text(leaf.facts, name) for name in ("action", "schema")}
        for name, value in expected.items():
            if asked.covers.get(name) != value:
                yield f"{name} is not what was asked"
        for name in COMMITTED:
            if asked.covers.get(name) != leaf.commit.get(name):
                yield f"the commitment of {name} is not the one that was asked about"
        if not asked.used:
            yield from self._standing(leaf, asked)

    def _standing(self, leaf: Leaf, asked: _Asked) -> Iterable[str]:
        # Only when it is first used: later attempts of the same intent ride on the same approval.
        expires = number(asked.covers, "expires")
        if asked.settled:
            yield f"it was settled by {named(asked.settled)}"
        if 0 < expires < leaf.time - SLACK_US:
            yield "it had expired"
        cures = texts(asked.covers, "cures")
        if not cures:
            yield "it names no approval that was needed"
        for cure in dict.fromkeys(cures):
            match = _CURE.fullmatch(cure)
            needed = int(match["people"] or 1) if match else 1
            people = asked.given.get(cure, set()) - {text(leaf.facts, "by")}
            if len(people) < needed:
                yield f"{named(cure)} has {counted(len(people), 'person', 'people')}, {needed} are needed"


def _bundles(leaf: Leaf) -> list[str]:
    return sorted(texts(leaf.facts, "bundles"))


def _bytes(written: str) -> bytes | None:
    try:
        return base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        return None
