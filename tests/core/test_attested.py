"""What rows say is held against the log: content, policies in force, keys, what waits and who approved it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from flyball.core.approval import over
from flyball.core.attested import activations, content, in_force, key_objection, misstated, moment, unapproved
from flyball.core.credential import SigningKey, sign_approval
from flyball.core.errors import FlyballError
from flyball.core.journal import BlobRow, BundleRow, KeyRow, PendingRow, Stored
from flyball.core.record import Opened

FAY = SigningKey(name="fay", seed=b"fay".ljust(32, b"."))
KEY = KeyRow(id="k1", person="user:fay", groups=("finance",), public=b64encode(FAY.public).decode(), created=0)
COVERS: dict[str, Any] = {"path": "2", "cures": ["project/finance"], "expires": 9}
ROW = PendingRow(
    id="r/2#1", run="r", path="2", kind="approval", state="granted", over=over(COVERS), groups=("project/finance",),
    expires=9, record="r/2#1/1/asked",
)  # fmt: skip


def person(name: str) -> str:
    return f"~{name}"


def stored(kind: str, path: str, **facts: Any) -> Stored:
    leaf = msgspec.json.encode({"facts": facts})
    return Stored(index=0, id="", kind=kind, run="-", path=path, attempt=0, time=0, leaf=leaf, payload=None)


def opened(of: str, path: str, private: Any = None, **facts: Any) -> Opened:
    return Opened(
        index=0, kind=of, run="r", path=path, attempt=1, time=0, commits={}, private=private or {},
        facts={"pending": "r/2#1", "over": ROW.over, **facts},
    )  # fmt: skip


def asked(**facts: Any) -> Opened:
    return opened("asked", "2#1", **{"kind": "approval", "covers": COVERS, **facts})


def approved(**facts: Any) -> Opened:
    told = {"by": "~user:fay", "cure": "project/finance", "assurance": "host"}
    return opened("approved", "2!1", {"person": "user:fay"}, **{**told, **facts})


def why_not(*decisions: Opened, row: PendingRow = ROW, key: KeyRow | None = KEY) -> str:
    return unapproved(row, decisions, person, lambda _: key)


def test_content_is_what_its_digest_says() -> None:
    assert content(BlobRow(id=hashlib.sha256(b"x").hexdigest(), content=b"x")) == b"x"
    with pytest.raises(FlyballError, match="another one"):
        content(BlobRow(id=hashlib.sha256(b"x").hexdigest(), content=b"y"))


def test_the_last_activation_of_a_layer_is_in_force() -> None:
    apart = [stored("policy_activated", str(n), layer="project", digest=d) for n, d in enumerate("ab")]
    rows = [BundleRow(id="project", digest="b", name="p", activated=0)]
    assert in_force(rows, apart) == rows and [f["digest"] for f in activations([*apart, stored("opened", "")])] == [
        "a",
        "b",
    ]
    for others in ([], [replace(rows[0], digest="a")], [*rows, replace(rows[0], id="tenant")]):
        with pytest.raises(FlyballError, match="changed beside its log"):
            in_force(others, apart)


def test_a_key_is_what_the_log_created_and_did_not_revoke() -> None:
    created = stored("key_created", "k1", public=KEY.public, groups=["finance"], person="~user:fay")
    gone = stored("key_revoked", "k1")
    assert key_objection(KEY, [created], person) == ""
    assert key_objection(replace(KEY, revoked=5), [created, gone], person) == ""
    assert "revokes" in key_objection(KEY, [created, gone], person)
    for row in (replace(KEY, id="k2"), replace(KEY, groups=("admin",)), replace(KEY, person="user:eve")):
        assert "no record" in key_objection(row, [created, gone], person)


@pytest.mark.parametrize(
    "changes",
    [{"id": "r/3#1"}, {"path": "3"}, {"run": "q"}, {"kind": "question"}, {"over": "0"}, {"groups": ()}, {"expires": 8}],
)
def test_what_waits_is_what_was_asked(changes: dict[str, Any]) -> None:
    assert misstated(ROW, asked(), person) == ""
    assert misstated(replace(ROW, **changes), asked(), person)


def test_a_digest_is_of_what_is_shown() -> None:
    assert misstated(ROW, asked(covers=COVERS | {"path": "3"}), person)
    assert misstated(ROW, asked(over="0"), person)


def test_a_question_names_its_people_by_pseudonym() -> None:
    covers = {"cures": ["project/user:~user:kim"]}
    row = replace(ROW, kind="question", groups=("project/user:kim",), over=over(covers), expires=0)
    told = asked(kind="question", covers=covers, over=row.over)
    assert misstated(row, told, person) == ""
    assert misstated(replace(row, groups=("project/user:eve",)), told, person)


def test_an_owner_and_whoever_asked_for_the_run_settle_what_is_unknown() -> None:
    covers = {"pending": "r/2#1"}
    row = replace(ROW, kind="unknown", groups=("project/owner",), over=over(covers), expires=0)
    told = replace(asked(kind="unknown", covers=covers, over=row.over), private={"shown": {"by": "user:kim"}})
    assert misstated(row, told, person) == ""
    assert misstated(replace(row, groups=("project/owner", "project/user:kim")), told, person) == ""
    assert misstated(replace(row, groups=("project/owner", "project/user:eve")), told, person)


def test_an_approval_is_what_people_were_recorded_to_give() -> None:
    assert why_not(approved()) == ""
    assert why_not() == "the log holds no approval of project/finance"
    assert why_not(approved(), row=replace(ROW, groups=())) == "the log holds no approval of anybody"
    assert why_not(approved(), approved(), row=replace(ROW, groups=("project/finance:2",)))  # one person counts once
    assert why_not(approved(), opened("voided", "2!2")) == "it was voided"
    assert why_not(approved(), opened("voided", "2!2", pending="r/2#2")) == ""


@pytest.mark.parametrize("facts", [{"over": "0"}, {"by": "~user:eve"}, {"cure": "project/legal"}, {"assurance": "os"}])
def test_an_approval_of_something_else_or_of_somebody_else_does_not_count(facts: dict[str, Any]) -> None:
    assert why_not(approved(**facts)).startswith("the log holds no approval")


def test_an_approval_whose_payload_names_nobody_does_not_count() -> None:
    assert why_not(replace(approved(), private=None))


def test_a_signature_counts_under_the_key_that_the_log_created() -> None:
    signed = approved(assurance="key", key="k1", sig=sign_approval(FAY, ROW.over))
    assert why_not(signed) == ""
    assert why_not(signed, key=None) and why_not(signed, key=replace(KEY, person="user:eve"))
    assert why_not(approved(assurance="key", key="k1", sig=sign_approval(FAY, "0" * 64)))


@pytest.mark.parametrize("micros", [1 << 62, -(1 << 62)])
def test_what_is_no_time_was_changed_beside_the_log(micros: int) -> None:
    assert moment(1_000_000).timestamp() == 1
    with pytest.raises(FlyballError) as bad:
        moment(micros)
    assert bad.value.code == "journal_corrupt" and str(micros) in bad.value.why


@pytest.mark.promise("gate-credential-owners")
def test_what_an_owner_of_a_credential_signed_lifts_nothing() -> None:
    assert why_not(approved()) == ""
    refused = unapproved(ROW, [approved()], person, lambda _: KEY, ["~user:fay"])
    assert refused == "the log holds no approval of project/finance"
