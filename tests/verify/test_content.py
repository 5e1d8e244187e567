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
ACTIVATED = at("policy_activated", "p:1", {"layer": "project", "digest": DIGEST}, run="-")


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
    assert problems(files, ACTIVATED, at("intent", "1", {"bundles": [DIGEST]})) == {}


def test_an_intent_was_decided_by_what_was_in_force(tmp_path: Path) -> None:
    files, other = made(tmp_path, **{f"policies/{DIGEST}.json": POLICY}), at("intent", "1", {"bundles": []})
    assert "were in force" in problems(files, ACTIVATED, other)["policies"][0]
    assert "were in force" in problems(files, at("intent", "1", {"bundles": [DIGEST]}), ACTIVATED)["policies"][0]


def test_every_intent_names_what_is_in_force_then(tmp_path: Path) -> None:
    files = made(tmp_path, **{f"policies/{DIGEST}.json": POLICY})
    later = at("policy_activated", "p:2", {"layer": "team", "digest": DIGEST[::-1]}, run="-")
    first, again, none = (at("intent", n, {"bundles": [DIGEST]} if n < "3" else {}) for n in "123")
    assert problems(files, ACTIVATED, first, again) == {}
    assert len(problems(files, ACTIVATED, first, later, again)["policies"]) == 2  # it is not here, either
    assert "3/0/intent was not decided" in problems(files, ACTIVATED, none)["policies"][0]


def test_a_denial_may_name_the_bundle_before_but_none_that_never_was(tmp_path: Path) -> None:
    files = made(tmp_path, **{f"policies/{DIGEST}.json": POLICY})
    later = at("policy_activated", "p:2", {"layer": "project", "digest": "cd" * 32}, run="-")
    told = problems(files, ACTIVATED, later, at("decision", "1", {"bundles": [DIGEST]}))["policies"]
    assert told == (f"-/p:2/0/policy_activated names the bundle {'cd' * 32}, which is not here",)
    assert "never in force" in problems(files, at("decision", "1", {"bundles": [DIGEST]}))["policies"][0]


def test_a_run_stands_on_a_release_that_was_loaded(tmp_path: Path) -> None:
    loaded, run = at("release_loaded", "r1", {"digest": "r1"}, run="-"), at("run_started", "", {"release": "r1"})
    assert problems(made(tmp_path), loaded, run) == {}
    assert "not loaded before" in problems(made(tmp_path), run, loaded)["releases"][0]


def test_a_bundle_that_is_missing_is_named(tmp_path: Path) -> None:
    assert "not here" in problems(made(tmp_path), ACTIVATED)["policies"][0]


@pytest.mark.parametrize("digest", ["", "base", "../../etc/passwd", "AB" * 32])
def test_a_bundle_named_by_no_digest_is_noticed(tmp_path: Path, digest: str) -> None:
    leaf = at("policy_activated", "p:1", {"digest": digest}, run="-")
    assert "no digest" in problems(made(tmp_path), leaf)["policies"][0]


def test_a_changed_bundle_is_noticed(tmp_path: Path) -> None:
    files = made(tmp_path, **{f"policies/{DIGEST}.json": b"permit all"})
    told = problems(files, ACTIVATED)["policies"]
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


@pytest.mark.promise("journal-disclosure-by-choice")
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
