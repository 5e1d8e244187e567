"""Verifies an exported ledger offline: nothing but the directory, a verifier key, and checkpoints seen earlier.

    report = verify_directory(Path("evidence"), vkey="desk+1a2b3c4d+A...", older=[note_from_last_month])
    print(report.summary)

Rules:

* The tree is computed from the entries; tiles, roots and older checkpoints are compared with it.
* Without a key from elsewhere the directory's own is used, and the report says that this proves consistency, not who
  signed. A verifier brings the key, and the newest checkpoint it has, to notice a second or a shortened history.
* Whatever is wrong is a finding. Only a path that is no export at all is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flyball.core.canonical import decode
from flyball.core.errors import FlyballError
from flyball.core.kinds import KINDS
from flyball.core.merkle import leaf_hash
from flyball.core.note import Checkpoint, VerifierKey, format_vkey, open_checkpoint, parse_vkey
from flyball.core.tiles import bundles_for, parse_bundle, tiles_for
from flyball.verify.approvals import Approvals
from flyball.verify.content import Content, Disclosures
from flyball.verify.files import CHECKPOINT, MANIFEST, MAX_FILE, Files
from flyball.verify.leaf import read_leaf
from flyball.verify.records import Records
from flyball.verify.report import Check, Findings, Report, counted, named
from flyball.verify.runs import Runs
from flyball.verify.tree import Tree

FORMAT: Final = 1
VKEY: Final = "vkey"
CHECKPOINTS: Final = "checkpoints"
_MANIFEST_KEYS: Final = frozenset({"v", "origin", "tenant", "log", "size", "files"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claims:
    """What the manifest says of the export; nothing of it is believed before it is compared."""

    origin: str = ""
    tenant: str = ""
    log: str = ""
    size: int = -1
    files: dict[str, Any] | None = None


def verify_directory(
    path: Path, *, vkey: str | None = None, older: Sequence[str] = (), approvers: Collection[str] | None = None
) -> Report:
    """Verifies the export in a directory.

    ``vkey`` is the log's verifier key from a source other than the export; ``older`` are signed checkpoints of this
    log that the verifier has seen; ``approvers`` the ids of the only people's keys whose approvals count. Never raises
    for what is in the directory; raises `FlyballError` ``not_an_export`` where it is none, ``bad_key`` for a ``vkey``
    that is no key.
    """
    files = Files(path)
    claims, manifest = _manifest(files)
    given = None if vkey is None else parse_vkey(vkey.strip())
    key, key_check = _key(files, given)
    head, head_check = _checkpoint(files, key, claims)
    tree, records, runs, approvals, content = Tree(), Records(), Runs(), Approvals(approvers), Content()
    disclosures = Disclosures(files)
    entries = Findings("entries")
    see = {kind: tuple(part.see for part in (approvals, content) if kind in part.kinds) for kind in KINDS}
    for index, raw in enumerate(_entries(files, claims.size if head is None else head.size, tree, entries)):
        leaf = read_leaf(index, raw)
        if isinstance(leaf, str):
            records.unread(index, leaf)
            continue
        records.see(leaf)
        runs.see(leaf)
        for follow in see[leaf.kind]:
            follow(leaf)
        if leaf.id in disclosures.records:
            disclosures.see(leaf)
    checks = [manifest, key_check, head_check, _root(tree, head, entries), _tiles(files, tree)]
    checks.append(_older(files, tree, key, head, older))
    checks.extend(records.checks(claims.tenant, claims.log, head.origin if head else claims.origin))
    for part in (runs.checks(), approvals.checks(), content.checks(files), disclosures.checks()):
        checks.extend(part)
    files.compare(claims.files or {})
    checks.append(files.findings.check(f"{counted(len(files.paths), 'file')}, all as the manifest lists them"))
    return Report(
        checks=tuple(checks), origin=head.origin if head else claims.origin, size=tree.size,
        key=format_vkey(key) if key else "", open_intents=runs.open_intents(), disclosed=disclosures.matched,
        boundaries=tuple(_boundaries(given, older, records.boundaries)),
    )  # fmt: skip


def _manifest(files: Files) -> tuple[_Claims, Check]:
    findings = Findings("manifest")
    raw = files.read(MANIFEST)
    claims = _Claims()
    if raw is None:
        findings.add(f"there is no {MANIFEST}")
        return claims, findings.check("")
    try:
        told = decode(raw, max_bytes=MAX_FILE)
    except FlyballError as bad:
        findings.add(f"it cannot be read: {bad.why}")
        return claims, findings.check("")
    if type(told) is not dict or told.keys() != _MANIFEST_KEYS or told["v"] != FORMAT or type(told["v"]) is not int:
        findings.add(f"it is not of format {FORMAT}")
        return claims, findings.check("")
    kinds = {"origin": str, "tenant": str, "log": str, "size": int, "files": dict}
    wrong = [name for name, kind in kinds.items() if type(told[name]) is not kind]
    if wrong:
        findings.add(f"it has no proper {', '.join(wrong)}")
        return claims, findings.check("")
    claims = _Claims(**{name: told[name] for name in kinds})
    return claims, findings.check(f"format {FORMAT}, tenant {named(claims.tenant)}")


def _key(files: Files, given: VerifierKey | None) -> tuple[VerifierKey | None, Check]:
    findings = Findings("key")
    raw = files.read(VKEY)
    own: VerifierKey | None = None
    try:
        own = parse_vkey((raw or b"").decode().removesuffix("\n"))
    except (FlyballError, UnicodeDecodeError) as bad:
        findings.add(f"the export holds no verifier key: {bad.why if isinstance(bad, FlyballError) else 'no text'}")
    if given is None:
        return own, findings.check("taken from the export itself; compare it with one from another source")
    if own is not None and own != given:
        findings.add("the export names another verifier key than the one given")
    return given, findings.check("the one given")


def _checkpoint(files: Files, key: VerifierKey | None, claims: _Claims) -> tuple[Checkpoint | None, Check]:
    findings = Findings("checkpoint")
    raw = files.read(CHECKPOINT)
    head: Checkpoint | None = None
    if raw is None:
        findings.add("there is none")
    elif key is None:
        findings.add("without a verifier key nobody can say who signed it")
    else:
        try:
            head = open_checkpoint(raw, [key])
        except FlyballError as bad:
            findings.add(f"{bad.what}: {bad.why}")
    if head is not None and (head.origin, head.size) != (claims.origin, claims.size):
        findings.add("its origin and size are not those of the manifest")
    if head is not None and not head.size:
        findings.add("it is of an empty log")
    return head, findings.check(f"signed by {named(key.name if key else '')} over {head.size if head else 0} records")


def _entries(files: Files, size: int, tree: Tree, findings: Findings) -> Iterator[bytes]:
    # The size is a claim until the root is found: nothing is read or reported beyond the first bundle that is missing.
    for bundle in bundles_for(max(size, 0)):
        raw = files.read(bundle.path)
        if raw is None:
            findings.add(f"{bundle.path} is missing")
            return
        try:
            entries = parse_bundle(raw, bundle.width)
        except FlyballError as bad:
            findings.add(f"{bundle.path}: {bad.why}")
            return
        tree.add(map(leaf_hash, entries))
        yield from entries


def _root(tree: Tree, head: Checkpoint | None, findings: Findings) -> Check:
    if head is None:
        findings.add("there is no signed root to compare with")
    elif tree.size != head.size:
        findings.add(f"{tree.size} records are here, {head.size} were signed")
    elif tree.root(tree.size) != head.root:
        findings.add("the root computed from the records is not the one that was signed")
    return findings.check(f"the root of {counted(tree.size, 'record')} is the one that was signed")


def _tiles(files: Files, tree: Tree) -> Check:
    findings = Findings("tiles")
    expected = {bundle.path for bundle in bundles_for(tree.size)}
    for tile in tiles_for(tree.size):
        expected.add(tile.path)
        raw = files.read(tile.path)
        if raw is None:
            findings.add(f"{tile.path} is missing")
        elif raw != tree.tile(tile):
            findings.add(f"{tile.path} is not what its records give")
    for path in files.under("tile"):
        if path not in expected:
            findings.add(f"{named(path)} belongs to no tree of {tree.size} records")
    return findings.check(f"{counted(sum(1 for _ in tiles_for(tree.size)), 'tile')}, as computed from the records")


def _older(files: Files, tree: Tree, key: VerifierKey | None, head: Checkpoint | None, older: Sequence[str]) -> Check:
    findings = Findings("older checkpoints")
    notes: list[tuple[str, bytes | str]] = [
        (f"older checkpoint {number}", note) for number, note in enumerate(older, 1)
    ]
    for path in files.under(CHECKPOINTS):
        notes.append((path, files.read(path) or b""))
    for name, note in notes:
        problem = _inconsistent(note, tree, key, head) if key and head else "there is nothing to compare it with"
        if not problem and name.startswith(CHECKPOINTS) and _size_of(note) != name.removeprefix(f"{CHECKPOINTS}/"):
            problem = "its size is not its name"
        if problem:
            findings.add(f"{named(name)}: {problem}")
    return findings.check(f"{counted(len(notes), 'older checkpoint')}, each a beginning of this log")


def _size_of(note: bytes | str) -> str:
    text = note if isinstance(note, str) else note.decode()
    return text.split("\n", 2)[1]


def _inconsistent(note: bytes | str, tree: Tree, key: VerifierKey, head: Checkpoint) -> str:
    try:
        old = open_checkpoint(note, [key], origin=head.origin)
    except FlyballError as bad:
        return bad.why
    if old.size > head.size:
        return f"it signed {old.size} records, this export ends at {head.size}: the log was cut or is older"
    if old.size > tree.size:
        return "the records that it signed are not all here"
    if tree.root(old.size) != old.root:
        return f"its first {old.size} records were other ones: there are two histories"
    return ""


def _boundaries(given: VerifierKey | None, older: Sequence[str], told: Iterable[str]) -> Iterator[str]:
    yield from told
    if given is None:
        yield "the verifier key was taken from the export: this shows that it is consistent, not who signed it"
    if not older:
        yield "no checkpoint from elsewhere was given: a log cut back to an older checkpoint would not be noticed"
