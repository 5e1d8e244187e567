"""Histories written by somebody who holds the log's key: real leaves, changed and signed again as a whole.

The key of an approver is not in their hands; an outsider may have the ids of the approvers' keys and an old checkpoint.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from flyball.adapters.signer_memory import MemorySigner
from flyball.core.approval import over
from flyball.core.canonical import encode
from flyball.core.credential import SigningKey, sign_approval
from flyball.core.journal import BlobRow
from flyball.core.tiles import parse_bundle
from flyball.runtime.export import write_export
from flyball.verify.directory import verify_directory
from tests.tamper.world import Verdict, World, told
from tests.verify.ledger import Ledger

FORGER: Final = SigningKey(name="forger", seed=b"forger".ljust(32, b"."))
POLICY: Final = b'{"staticPolicies":{"everything":{}}}'
Leaf = dict[str, Any]
Forge = Callable[["Log"], None]


class Log:
    """The leaves of a world's export, to be changed."""

    def __init__(self, world: World) -> None:
        paths = sorted(p for p in (world.export / "tile/entries").rglob("*") if p.is_file())
        self.leaves: list[Leaf] = [json.loads(raw) for p in paths for raw in parse_bundle(p.read_bytes(), int(p.name))]
        self.run = world.facts["run"]
        self.blobs = [p.read_bytes() for name in ("policies", "releases") for p in (world.export / name).iterdir()]
        self._key = bytes.fromhex(json.loads(world.signer.read_text())["private"])

    def one(self, kind: str, path: str = "", run: str = "") -> Leaf:
        """The first leaf of a kind in the approved run (or another), whose path begins so."""
        run = run or self.run
        return next(x for x in self.leaves if x["kind"] == kind and x["run"] == run and x["path"].startswith(path))

    def key(self) -> Leaf:
        """The leaf that creates the approver's key."""
        name = self.one("approved")["facts"]["key"]
        return next(x for x in self.leaves if x["kind"] == "key_created" and x["facts"]["key"] == name)

    def after(self, leaf: Leaf, **changes: Any) -> Leaf:
        """Another leaf like this one, right after it."""
        fresh: Leaf = json.loads(json.dumps(leaf)) | changes
        self.leaves.insert(self.leaves.index(leaf) + 1, fresh)
        return fresh

    def write(self, target: Path) -> Path:
        """The export, signed with the log's own key."""
        for leaf in self.leaves:
            leaf["id"] = f"{leaf['run']}/{leaf['path']}/{leaf['attempt']}/{leaf['kind']}"
        first = self.leaves[0]
        ledger = _Signed([encode(leaf) for leaf in self.leaves], signer=MemorySigner("desk", self._key))
        ledger.log, ledger.origin = first["facts"]["log"], first["facts"]["origin"]
        ledger.rows_ = [BlobRow(id=sha256(content).hexdigest(), content=content) for content in self.blobs]
        return ledger.finish(target)


@dataclass
class _Signed(Ledger):
    log: str = ""
    origin: str = ""

    def finish(self, target: Path) -> Path:
        _, frontier = self.tree()
        nodes = dict(self._nodes())
        self.node = lambda level, index: nodes[level, index]  # type: ignore[method-assign]
        hashes = [nodes[0, index] for index in range(frontier.size)]
        note = self.signer.sign(self.log, self.origin, frontier, lambda start, end: hashes[start:end])
        vkey = self.signer.verifier_key()
        write_export(target, lambda: cast("Any", self), tenant="local", note=note, vkey=vkey)
        return target

    def tree(self) -> Any:
        return self.log, super().tree()[1]


@dataclass(frozen=True)
class Forgery:
    """What is forged; ``caught``: the check that finds it with nothing but the log. Empty: it needs the approvers' keys
    from elsewhere (``approver``), or else only the kept checkpoint shows it."""

    name: str
    forge: Forge
    caught: str
    approver: bool = False

    def verdict(self, world: World, target: Path, *, approver: bool = False, outside: bool = False) -> Verdict:
        """What `flyball verify` says of it, under the log's true key."""
        log = Log(world)
        self.forge(log)
        facts, older = world.facts, [world.kept] if outside else []
        approvers = [facts["approver"]] if approver else None
        return told(verify_directory(log.write(target), vkey=facts["vkey"], older=older, approvers=approvers))


def _made_up(log: Log) -> None:
    approved = log.one("approved")
    approved["facts"]["sig"] = sign_approval(FORGER, approved["facts"]["over"])


def _own_key(log: Log) -> None:
    created, approved = log.key(), log.one("approved")
    public = base64.b64encode(FORGER.public).decode()
    log.after(created, path=FORGER.id)["facts"] |= {"key": FORGER.id, "public": public, "person": "99" * 16}
    sig = sign_approval(FORGER, approved["facts"]["over"])
    approved["facts"] |= {"key": FORGER.id, "by": "99" * 16, "sig": sig}


def _vouched(log: Log) -> None:
    facts = log.one("approved")["facts"]
    facts["assurance"] = "host"
    del facts["key"], facts["sig"]


def _two_people(log: Log) -> None:
    asked, approved = log.one("asked"), log.one("approved")
    second = log.after(approved, path=approved["path"].replace("!1", "!2"))
    second["facts"]["by"] = "99" * 16
    assert asked["facts"]["covers"]["cures"] == [second["facts"]["cure"]]


def _moved(name: str, value: str) -> Forge:
    def forge(log: Log) -> None:
        for leaf in log.leaves:
            if leaf["run"] == log.run and leaf["kind"] in ("asked", "approved", "intent", "outcome"):
                leaf[name] = value if name != "path" or leaf["path"][0] != "2" else value + leaf["path"][1:]

    return forge


def _step(log: Log) -> None:
    intent, outcome = log.one("intent", "2"), log.one("outcome", "2")
    log.after(outcome, path="3")
    log.after(outcome, **{**intent, "path": "3"})


def _shown(log: Log) -> None:
    log.one("asked")["facts"]["covers"]["args"] = "00" * 32


def _covers(log: Log) -> None:
    """Everything is made to fit, but what the approver signed."""
    asked, intent, approved = log.one("asked"), log.one("intent", "2"), log.one("approved")
    asked["facts"]["covers"]["args"] = intent["commit"]["args"] = asked["commit"]["args"] = "00" * 32
    asked["facts"]["over"] = over(asked["facts"]["covers"])
    for leaf in (approved["facts"], intent["facts"]["approval"]):
        leaf["over"] = asked["facts"]["over"]


def _claimed(log: Log) -> None:
    outcome = log.one("outcome", "2")
    log.after(outcome, path="9")


def _unintended(log: Log) -> None:
    log.leaves.remove(log.one("intent", "2"))


def _allowed(log: Log) -> None:
    facts = log.one("intent", "2")["facts"]
    del facts["approval"]
    facts["outcome"] = "allow"


def _unasked(log: Log) -> None:
    """Question and approval are taken out altogether: nothing an approver signed is left."""
    _allowed(log)
    log.leaves = [x for x in log.leaves if not (x["run"] == log.run and x["kind"] in ("asked", "approved"))]


def _bundle(log: Log) -> None:
    log.blobs.append(POLICY)
    log.one("intent", "2")["facts"]["bundles"] = [sha256(POLICY).hexdigest()]


def _policy(log: Log) -> None:
    digest = next(x for x in log.leaves if x["kind"] == "policy_activated")["facts"]["digest"]
    log.blobs = [POLICY if sha256(content).hexdigest() == digest else content for content in log.blobs]


def _back(log: Log) -> None:
    log.one("outcome", "2")["t"] -= 3_600_000_000


def _release(log: Log) -> None:
    log.one("intent", "2")["facts"]["release"] = "ab" * 32


def _cut(log: Log) -> None:
    del log.leaves[12:]


def _denial(log: Log) -> None:
    decision = next(x for x in log.leaves if x["kind"] == "decision" and x["facts"]["outcome"] == "deny")
    log.after(decision, kind="intent")["facts"] |= {"outcome": "allow", "approval": None}


FORGERIES: Final = (
    Forgery("an approval with a made-up signature", _made_up, "approvals"),
    Forgery("one signature for two people", _two_people, "approvals"),
    Forgery("an approval moved to another run", _moved("run", "r-9"), "approvals"),
    Forgery("an approval moved to another step", _moved("path", "7"), "approvals"),
    Forgery("an approval moved to another tenant", _moved("tenant", "other"), "approvals"),
    Forgery("an approval used for a second step", _step, "approvals"),
    Forgery("the shown arguments edited", _shown, "approvals"),
    Forgery("the shown arguments edited and everything made to fit", _covers, "approvals"),
    Forgery("an approved action said to be allowed", _allowed, "approvals"),
    Forgery("an outcome claimed without intent", _claimed, "outcomes"),
    Forgery("an intent removed", _unintended, "outcomes"),
    Forgery("a denied action run", _denial, "denials"),
    Forgery("a decision under a bundle that was never in force", _bundle, "policies"),
    Forgery("a policy replaced by another", _policy, "policies"),
    Forgery("a release that was never loaded", _release, "releases"),
    Forgery("a clock step backwards", _back, "order"),
    Forgery("an approval by a key of the forger's", _own_key, "", approver=True),
    Forgery("an approval vouched for instead of signed", _vouched, "", approver=True),
    Forgery("question and approval removed", _unasked, ""),
    Forgery("the tail cut off", _cut, ""),
)  # fmt: skip
