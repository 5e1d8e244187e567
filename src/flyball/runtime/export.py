"""Writes evidence for somebody outside: a whole ledger as a directory, or the proof of one record as a text.

    checkpoint          the signed head               tile/entries/...    the records, in bundles of 256
    vkey                the log's verifier key        tile/<L>/...        the tree (C2SP tlog-tiles)
    checkpoints/<size>  older signed heads            policies/<digest>.json, releases/<digest>
    manifest.json       what is here, with digests    disclosures/<n>.json

Rules:

* What is written is what the journal holds, also where it does not fit together: finding that is the verifier's work.
* A directory appears complete or not at all: it is written beside its place and renamed. Nothing is overwritten.
* Payloads stay behind; only values that the caller discloses leave, each with the salt that opens its commitment.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from flyball.core.canonical import encode
from flyball.core.errors import FlyballError
from flyball.core.journal import BlobRow, CheckpointRow, Stored
from flyball.core.merkle import inclusion_proof
from flyball.core.note import Checkpoint, open_checkpoint, parse_checkpoint, parse_note, parse_vkey
from flyball.core.proof import Proof, format_proof
from flyball.core.tiles import WIDTH, bundle_bytes, bundles_for, tile_bytes, tiles_for
from flyball.ports.journal import View

FORMAT: Final = 1
PORTION: Final = 1024

Look = Callable[[], View]


class Disclosure(NamedTuple):
    """A value that leaves: the record's id, the field's name, its salt and its exact stored bytes."""

    record: str
    field: str
    salt: bytes
    data: bytes


def write_export(
    target: Path, look: Look, *, tenant: str, note: str, vkey: str, disclosures: Iterable[Disclosure] = ()
) -> Checkpoint:
    """Writes the ledger up to the signed checkpoint ``note`` into the directory ``target``; returns that checkpoint.

    ``look`` takes a view; each is asked for a portion only. ``target`` may be absent or empty. Blocking: call it in a
    thread. Raises `FlyballError` ``export_exists``, ``export_unwritable``, ``checkpoint_ahead`` (the journal is shorter
    than what was signed), ``tree_damaged``, or as `core.note.open_checkpoint` does for a note that ``vkey`` did not
    sign.
    """
    head = open_checkpoint(note, [parse_vkey(vkey)])
    log, frontier = look().tree()
    if frontier.size < head.size:
        raise _ahead(head.size, frontier.size)
    _check_target(target)
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        try:
            files = _Files(fresh)
            _write(files, look, head, disclosures)
            files.put("checkpoint", note.encode())
            files.put("vkey", f"{vkey}\n".encode())
            manifest = {
                "v": FORMAT, "origin": head.origin, "tenant": tenant, "log": log, "size": head.size,
                "files": files.digests,
            }  # fmt: skip
            files.put("manifest.json", encode(manifest))
            fresh.replace(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as failed:
        fix = "Check that the disk has room and that this user may write there"
        raise FlyballError("export_unwritable", f"{target} cannot be written", failed.strerror or "", fix) from failed
    return head


def prove(view: View, index: int, note: str) -> str:
    """The proof of one record under the signed checkpoint ``note``, as a C2SP tlog-proof text that carries the leaf.

    Raises `FlyballError` ``no_proof`` when the checkpoint does not cover the record, ``checkpoint_ahead`` when the
    journal is shorter than what was signed, ``tree_damaged``.
    """
    head = parse_checkpoint(parse_note(note).text)
    size = view.tree()[1].size
    if size < head.size:
        raise _ahead(head.size, size)
    hashes = inclusion_proof(index, head.size, _Nodes(view))
    found = view.records(after=index - 1, limit=1)
    if not found or found[0].index != index:
        raise _damaged(f"there is no record {index}")
    return format_proof(Proof(index=index, hashes=hashes, checkpoint=note, extra=found[0].leaf))


class _Files:
    """Writes files below a directory and remembers their digests."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.digests: dict[str, str] = {}

    def put(self, path: str, content: bytes) -> None:
        place = self._root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        self.digests[path] = sha256(content).hexdigest()


class _Nodes:
    """The journal's complete subtrees; a missing one is damage, not a KeyError."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __call__(self, level: int, index: int) -> bytes:
        try:
            return self._view.node(level, index)
        except KeyError:
            raise _damaged(f"the node {index} of level {level} is not there") from None


def _write(files: _Files, look: Look, head: Checkpoint, disclosures: Iterable[Disclosure]) -> None:
    policies: set[str] = set()
    parts: set[str] = set()
    records = _records(look, head.size)
    for bundle in bundles_for(head.size):
        entries: list[bytes] = []
        for stored in records:
            entries.append(stored.leaf)
            _collect(stored, policies, parts)
            if len(entries) == bundle.width:
                break
        if len(entries) != bundle.width:
            raise _damaged(f"there is no record {bundle.index * WIDTH + len(entries)}")
        files.put(bundle.path, bundle_bytes(entries))
    for tile in tiles_for(head.size):
        files.put(tile.path, tile_bytes(tile, _Nodes(look())))
    for row in _checkpoints(look):
        if row.id.isascii() and row.id.isdecimal() and 0 < int(row.id) < head.size:
            files.put(f"checkpoints/{int(row.id)}", row.note.encode())
    for digest, path in [*((d, f"policies/{d}.json") for d in policies), *((d, f"releases/{d}") for d in parts)]:
        blob = look().row(BlobRow, digest)
        if blob is not None:
            files.put(path, blob.content)
    for number, one in enumerate(disclosures, 1):
        data = base64.b64encode(one.data).decode()
        files.put(
            f"disclosures/{number}.json",
            encode({"record": one.record, "field": one.field, "salt": one.salt.hex(), "data": data}),
        )


def _records(look: Look, size: int) -> Iterator[Stored]:
    after = -1
    while after + 1 < size:
        portion = look().records(after=after, limit=min(PORTION, size - after - 1))
        if not portion:
            return
        for stored in portion:
            if stored.index != after + 1:
                return
            after = stored.index
            yield stored


def _checkpoints(look: Look) -> Iterator[CheckpointRow]:
    after = ""
    while portion := look().page(CheckpointRow, after, PORTION):
        yield from portion
        if portion[-1].id <= after:
            return  # a row that is not what it is found by: finding that is the verifier's work
        after = portion[-1].id


def _collect(stored: Stored, policies: set[str], parts: set[str]) -> None:
    if stored.kind not in ("decision", "intent", "policy_activated", "release_loaded"):
        return
    try:
        facts: Mapping[str, Any] = msgspec.json.decode(stored.leaf)["facts"]
        if stored.kind == "release_loaded":
            named = list(facts["parts"].values())
        else:
            named = [facts["digest"]] if stored.kind == "policy_activated" else list(facts["bundles"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return  # what this leaf is worth is the verifier's to say
    wanted = parts if stored.kind == "release_loaded" else policies
    wanted.update(one for one in named if isinstance(one, str) and len(one) == 64 and one.isalnum())


def _check_target(target: Path) -> None:
    try:
        empty = not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir()))
    except OSError as failed:
        raise FlyballError("export_unwritable", f"{target} cannot be written", failed.strerror or "") from failed
    if not empty:
        fix = "Name a directory that is not there yet; nothing is overwritten"
        raise FlyballError("export_exists", f"{target} is not empty", fix=fix)


def _ahead(signed: int, found: int) -> FlyballError:
    why = f"{signed} records were signed, {found} are there"
    fix = "The journal was cut or restored from a copy: see flyball doctor"
    return FlyballError("checkpoint_ahead", "the journal is shorter than its checkpoint", why, fix)


def _damaged(why: str) -> FlyballError:
    return FlyballError("tree_damaged", "the journal's tree is damaged", why, "See flyball doctor")
