"""Keys, signed requests and approvals."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core import credential
from flyball.core.credential import SignedRequest, SigningKey, written
from flyball.core.errors import FlyballError

ANNA = SigningKey(name="anna", seed=bytes(range(32)))
NONCE = "0123456789abcdef"
OVER = "ab" * 32
NOW = 1_700_000_000_000_000


def signed(**arguments: object) -> SignedRequest:
    return credential.sign_request(ANNA, "approve", arguments, issued_us=NOW, nonce=NONCE)


def refused(request: SignedRequest, public: bytes = ANNA.public, now: int = NOW) -> str:
    with pytest.raises(FlyballError) as caught:
        credential.verify_request(request, public, now_us=now)
    return caught.value.code


def test_a_key_never_shows_its_seed() -> None:
    assert repr(ANNA) == "SigningKey(name='anna')"


def test_a_key_id_is_the_beginning_of_the_digest_of_the_public_key() -> None:
    assert ANNA.id == credential.key_id(ANNA.public) == credential.enrolled(ANNA.public)
    assert ANNA.id == "56475aa75463474c0285df5dbf2bcab7"


@given(st.binary(min_size=32, max_size=32))
def test_a_key_file_gives_back_the_key_it_was_written_from(seed: bytes) -> None:
    key = SigningKey(name="kim@acme.example", seed=seed)
    assert credential.parse_key(credential.format_key(key)) == key


@pytest.mark.parametrize("line", ["", "flyball-key-1 anna", "flyball-key-2 anna AAAA", "flyball-key-1 anna %%%", "ä"])
def test_a_line_that_is_no_key_is_refused_without_being_repeated(line: str) -> None:
    with pytest.raises(FlyballError) as caught:
        credential.parse_key(line)
    assert caught.value.code == "bad_key" and "anna" not in str(caught.value)


def test_a_seed_in_another_spelling_of_base64_is_refused() -> None:
    line = credential.format_key(ANNA)
    assert line.endswith("Hh8=\n")
    with pytest.raises(FlyballError, match="does not read"):
        credential.parse_key(line.replace("Hh8=", "Hh9="))


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(FlyballError, match="32 bytes"):
        credential.parse_key("flyball-key-1 anna AAAA")


@pytest.mark.parametrize("name", ["", "../anna", "anna kim", ".anna", "a" * 65, "anna\n"])
def test_a_name_that_could_leave_its_directory_or_line_is_refused(name: str) -> None:
    with pytest.raises(FlyballError, match="no name"):
        SigningKey(name=name, seed=bytes(32))


@pytest.mark.parametrize("public", [bytes(32), b"\1" + bytes(31), b"\xff" * 32, b"short"])
def test_a_weak_public_key_is_not_enrolled(public: bytes) -> None:
    with pytest.raises(FlyballError) as caught:
        credential.enrolled(public)
    assert caught.value.code == "bad_key"


def test_a_request_verifies_with_the_key_that_signed_it() -> None:
    credential.verify_request(signed(pending="p-1", reason="fair"), ANNA.public, now_us=NOW)


def test_the_signed_bytes_are_the_canonical_request_under_its_own_prefix() -> None:
    raw = credential.request_bytes("stop", {"b": 1, "a": None}, 5, NONCE)
    body = b'{"arguments":{"a":null,"b":1},"command":"stop","issued_us":5,"nonce":"0123456789abcdef"}'
    assert raw == b"flyball/request/v1\0" + body


@pytest.mark.parametrize(
    "change",
    [
        {"command": "deny"},
        {"arguments": {"pending": "p-2"}},
        {"issued_us": NOW + 1},
        {"nonce": "f" * 16},
        {"nonce": "short"},
        {"key": "0" * 32},
        {"signature": "AAAA"},
        {"signature": "not base64"},
        {"signature": "ä"},
    ],
)
def test_a_request_with_anything_changed_is_refused(change: dict[str, object]) -> None:
    assert refused(msgspec.structs.replace(signed(pending="p-1"), **change)) == "request_refused"


def test_a_request_is_refused_under_another_key() -> None:
    assert refused(signed(), SigningKey(name="kim", seed=bytes(32)).public) == "request_refused"


@pytest.mark.parametrize(("seconds", "fresh"), [(-61, False), (-60, True), (0, True), (60, True), (61, False)])
def test_a_request_is_fresh_for_a_minute_either_way(seconds: int, fresh: bool) -> None:
    request, now = signed(), NOW + seconds * 1_000_000
    if fresh:
        credential.verify_request(request, ANNA.public, now_us=now)
    else:
        assert refused(request, now=now) == "request_stale"


def test_a_request_with_a_short_nonce_is_not_signed() -> None:
    with pytest.raises(FlyballError, match="nonce"):
        credential.sign_request(ANNA, "stop", {}, issued_us=NOW, nonce="short")


def test_arguments_without_one_spelling_are_not_signed() -> None:
    with pytest.raises(FlyballError, match="floating-point"):
        signed(amount=0.1)


@pytest.mark.promise("gate-approver-signs-what-runs")
def test_an_approval_signs_the_digest_of_what_will_run() -> None:
    assert credential.approval_bytes(OVER) == b"flyball/approve/v1\0" + OVER.encode()
    signature = credential.sign_approval(ANNA, OVER)
    assert credential.verify_approval(ANNA.public, OVER, signature)
    assert not credential.verify_approval(ANNA.public, "cd" * 32, signature)
    assert not credential.verify_approval(ANNA.public, OVER, signature.rstrip("="))


@pytest.mark.parametrize("over", ["", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_there_is_nothing_to_approve_but_a_digest(over: str) -> None:
    with pytest.raises(FlyballError) as caught:
        credential.sign_approval(ANNA, over)
    assert caught.value.code == "bad_over"


@pytest.mark.promise("gate-approvals-are-signed")
@given(st.text(max_size=20), st.dictionaries(st.text("abc", max_size=3), st.text(max_size=5), max_size=3))
def test_no_request_can_pass_for_an_approval(command: str, arguments: dict[str, str]) -> None:
    raw = credential.request_bytes(command, arguments, NOW, NONCE)
    assert not raw.startswith(b"flyball/approve/v1\0")


@pytest.mark.parametrize("text", ["", "no base64!", base64.b64encode(b"short").decode(), "AA" * 20])
def test_what_is_no_public_key_is_told_so(text: str) -> None:
    with pytest.raises(FlyballError) as refused:
        written(text)
    assert refused.value.code == "bad_key"


def test_a_public_key_is_read_as_it_is_written() -> None:
    key = SigningKey(name="fay", seed=b"f" * 32)
    assert written(base64.b64encode(key.public).decode()) == key.public
