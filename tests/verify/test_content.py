from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from flyball.core.commitment import commit
from flyball.verify.content import Content, Disclosures
from flyball.verify.files import Files
from flyball.verify.leaf import Leaf
from tests.verify.leaves import at, found

POLICY, SALT = b"permit", bytes(32)
DIGEST = sha256(POLICY).hexdigest()


def made(root: Path, **files: bytes) -> Files:
    for name, content in {"checkpoint": b"", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Files(root)


def problems(files: Files, *leaves: Leaf) -> dict[str, tuple[str, ...]]:
    content = Content()
    for leaf in leaves:
        content.see(leaf)
    return found(content.checks(files))


def test_a_named_bundle_is_there_and_as_named(tmp_path: Path) -> None:
    files = made(tmp_path, **{f"policies/{DIGEST}.json": POLICY})
    leaves = [at("intent", "1", {"bundles": [DIGEST]}), at("policy_activated", "p:1", {"digest": DIGEST}, run="-")]
    assert problems(files, *leaves) == {}


def test_a_bundle_that_is_missing_is_named(tmp_path: Path) -> None:
    assert "not here" in problems(made(tmp_path), at("decision", "1", {"bundles": [DIGEST]}))["policies"][0]


@pytest.mark.parametrize("digest", ["", "base", "../../etc/passwd", "AB" * 32])
def test_a_bundle_named_by_no_digest_is_noticed(tmp_path: Path, digest: str) -> None:
    leaf = at("policy_activated", "p:1", {"digest": digest}, run="-")
    assert "no digest" in problems(made(tmp_path), leaf)["policies"][0]


def test_a_changed_bundle_is_noticed(tmp_path: Path) -> None:
    files = made(tmp_path, **{f"policies/{DIGEST}.json": b"permit all"})
    told = problems(files, at("intent", "1", {"bundles": [DIGEST]}))["policies"]
    assert "not what its name says" in told[0]
    assert "not here" in told[1]


def test_release_parts_may_be_kept_back_but_not_changed(tmp_path: Path) -> None:
    leaf = at("release_loaded", "r1", {"parts": {"prompt": DIGEST, "code": "ef" * 32, "odd": 5}}, run="-")
    assert problems(made(tmp_path, **{f"releases/{DIGEST}": POLICY}), leaf) == {}
    assert "not what its name says" in problems(made(tmp_path, **{"releases/x": b""}), leaf)["releases"][0]


def disclosed(**changes: Any) -> bytes:
    data = base64.b64encode(b'{"to":"c"}').decode()
    told = {"record": "r-1/1/1/intent", "field": "args", "salt": SALT.hex(), "data": data, **changes}
    told = {name: value for name, value in told.items() if value is not ...}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def opened(root: Path, *raws: bytes) -> Disclosures:
    files = made(root, **{f"disclosures/{n}.json": raw for n, raw in enumerate(raws, 1)})
    disclosures = Disclosures(files)
    leaf = at("intent", "1", attempt=1, commit={"args": commit("args", SALT, b'{"to":"c"}')})
    if leaf.id in disclosures.records:
        disclosures.see(leaf)
    return disclosures


def test_a_disclosed_value_matches_its_commitment(tmp_path: Path) -> None:
    disclosures = opened(tmp_path, disclosed())
    assert found(disclosures.checks()) == {}
    assert disclosures.matched == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"data": base64.b64encode(b'{"to":"x"}').decode()}, "is not args"), ({"salt": "01" * 32}, "is not args"),
        ({"field": "result"}, "is not result"), ({"record": "r-1/9/1/intent"}, "not in the log"),
        ({"salt": ""}, "is not"), ({"salt": 5}, "is not"), ({"data": "!"}, "no disclosure"),
        ({"salt": "zz"}, "no disclosure"), ({"more": 1}, "no disclosure"), ({"data": ...}, "no disclosure"),
        ({"data": "eyJ0byI6ImMifR=="}, "no disclosure"),
    ],
)  # fmt: skip
def test_a_swapped_or_broken_disclosure_is_noticed(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    assert why in found(opened(tmp_path, disclosed(**changes)).checks())["disclosures"][0]


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", disclosed() + b"\n"])
def test_what_is_no_disclosure_is_noticed(tmp_path: Path, raw: bytes) -> None:
    assert "is no disclosure" in found(opened(tmp_path, raw).checks())["disclosures"][0]
