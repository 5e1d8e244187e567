"""Verifies the proof of one record (C2SP tlog-proof) against the log's verifier key."""

from __future__ import annotations

from flyball.core.errors import FlyballError
from flyball.core.merkle import leaf_hash, verify_inclusion
from flyball.core.note import format_vkey, open_checkpoint, parse_vkey
from flyball.core.proof import parse_proof
from flyball.verify.leaf import read_leaf
from flyball.verify.report import Check, Report, named


def verify_proof(text: str, leaf: bytes | None, vkey: str, *, origin: str | None = None) -> Report:
    """Whether the leaf stands in the log whose checkpoint the proof carries.

    ``leaf`` is the record's exact bytes; None takes the one that travels in the proof (its hash must be in the signed
    tree, so it need not be believed). ``origin`` refuses another log's proof. Raises `FlyballError` ``bad_key`` for a
    ``vkey`` that is no key, nothing for a bad proof.
    """
    key = parse_vkey(vkey.strip())
    try:
        proof = parse_proof(text)
    except FlyballError as bad:
        return Report(checks=(_bad("proof", bad.why),), key=format_vkey(key))
    checks = [_ok("proof", f"of record {proof.index}")]
    try:
        head = open_checkpoint(proof.checkpoint, [key], origin=origin)
    except FlyballError as bad:
        return Report(checks=(*checks, _bad("checkpoint", f"{bad.what}: {bad.why}")), key=format_vkey(key))
    checks.append(_ok("checkpoint", f"signed by {named(key.name)} over {head.size} records"))
    raw = proof.extra if leaf is None else leaf
    if raw is None:
        checks.append(_bad("record", "the proof does not carry it; pass the leaf"))
    else:
        included = verify_inclusion(proof.index, head.size, leaf_hash(raw), proof.hashes, head.root)
        checks.append(
            _ok("inclusion", "in the signed tree") if included else _bad("inclusion", "not in the signed tree")
        )
        found = read_leaf(proof.index, raw)
        checks.append(_bad("record", found) if isinstance(found, str) else _ok("record", named(found.id)))
    return Report(checks=tuple(checks), origin=head.origin, size=head.size, key=format_vkey(key))


def _ok(name: str, detail: str) -> Check:
    return Check(name=name, ok=True, detail=detail)


def _bad(name: str, detail: str) -> Check:
    return Check(name=name, ok=False, detail=detail)
