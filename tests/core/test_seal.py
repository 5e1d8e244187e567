from __future__ import annotations

import os

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.seal import (
    MAX_INLINE,
    Sealed,
    body_mac,
    check_subject,
    combined_key,
    open_field,
    open_payload,
    payload_subjects,
    place,
    seal_field,
    seal_payload,
)

SALT = bytes(range(32))
BODY = b"x" * (MAX_INLINE + 1)
fields = st.dictionaries(st.text(min_size=1, max_size=8), st.binary(max_size=MAX_INLINE + 64), min_size=1, max_size=4)


class Ring:
    """Keys by pseudonym; erasing one forgets it for good."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.erased: set[str] = set()

    def subject(self, tenant: str, subject: str) -> bytes:
        if subject in self.erased:
            raise LookupError(subject)
        return self.keys.setdefault(f"{tenant}/{subject}", os.urandom(32))

    def pseudonym(self, tenant: str) -> bytes:
        return tenant.encode().ljust(32, b".")


def sealed(ring: Ring, data: dict[str, bytes], *subjects: str, record: str = "r-1/1/1/intent") -> Sealed:
    return seal_payload(ring, "acme", record, subjects, data, dict.fromkeys(data, SALT), os.urandom)


def opened(ring: Ring, told: Sealed, record: str = "r-1/1/1/intent", tenant: str = "acme") -> dict[str, bytes]:
    assert told.payload is not None
    found = open_payload(ring, tenant, record, told.payload, dict(told.bodies).get)
    return {field: opening.data for field, opening in found.items()}


@given(fields, st.lists(st.sampled_from(["user:kim", "user:lee", "customer:7"]), max_size=3))
def test_what_is_sealed_opens_again_with_its_salts(data: dict[str, bytes], subjects: list[str]) -> None:
    ring = Ring()
    told = sealed(ring, data, *subjects)
    assert told.payload is not None
    found = open_payload(ring, "acme", "r-1/1/1/intent", told.payload, dict(told.bodies).get)
    assert found == {field: (SALT, value) for field, value in data.items()}


def test_a_record_without_private_fields_has_no_payload() -> None:
    assert sealed(Ring(), {}, "user:kim") == Sealed(None, ())


@pytest.mark.promise("journal-payloads-name-their-subjects")
def test_a_payload_names_its_subjects_by_pseudonym_only() -> None:
    told = sealed(Ring(), {"args": b"1"}, "user:kim", "user:lee")
    assert told.payload is not None
    assert b"kim" not in told.payload
    assert len(payload_subjects(told.payload)) == 2


@pytest.mark.promise("journal-payloads-name-their-subjects")
def test_a_payload_of_two_subjects_is_lost_with_either_key() -> None:
    for lost in (0, 1):
        ring = Ring()
        told = sealed(ring, {"args": b"1"}, "user:kim", "user:lee")
        ring.erased.add(payload_subjects(told.payload or b"")[lost])
        with pytest.raises(LookupError):
            opened(ring, told)


@pytest.mark.promise("journal-payloads-name-their-subjects")
@pytest.mark.parametrize("other", [0, 1])
def test_a_payload_of_two_subjects_opens_under_the_keys_of_both_and_no_other(other: int) -> None:
    ring = Ring()
    told = sealed(ring, {"args": b"1"}, "user:kim", "user:lee")
    ring.keys[f"acme/{payload_subjects(told.payload or b'')[other]}"] = bytes(32)
    with pytest.raises(FlyballError) as refused:
        opened(ring, told)
    assert refused.value.code == "payload_damaged"


def test_nothing_is_sealed_for_an_erased_subject() -> None:
    ring = Ring()
    ring.erased.add(payload_subjects(sealed(ring, {"args": b"1"}, "user:kim").payload or b"")[0])
    with pytest.raises(LookupError):
        sealed(ring, {"args": b"2"}, "user:kim")


@pytest.mark.promise("gate-payloads-cannot-be-moved")
@pytest.mark.parametrize(("record", "tenant"), [("r-2/1/1/intent", "acme"), ("r-1/1/1/intent", "other")])
def test_a_payload_moved_elsewhere_does_not_open(record: str, tenant: str) -> None:
    class OneKey(Ring):
        def subject(self, tenant: str, subject: str) -> bytes:
            return bytes(32)

    ring = OneKey()
    with pytest.raises(FlyballError) as refused:
        opened(ring, sealed(ring, {"args": b"1"}, "user:kim"), record, tenant)
    assert refused.value.code == "payload_damaged"


@pytest.mark.promise("gate-payloads-cannot-be-moved")
def test_a_field_moved_to_another_name_does_not_open() -> None:
    cipher, at = AESGCM(bytes(32)), place("acme", "r")
    with pytest.raises(FlyballError, match="args"):
        open_field(cipher, at, "args", seal_field(cipher, at, "result", SALT, bytes(12), b"1"))


@pytest.mark.promise("gate-payloads-cannot-be-moved")
def test_places_are_bound_without_ambiguity() -> None:
    assert place("a", "b/c") != place("a/b", "c")
    assert place("ab", "c") != place("a", "bc")


@given(st.data())
def test_a_flipped_byte_never_opens(data: st.DataObject) -> None:
    cipher, at = AESGCM(bytes(32)), place("acme", "r")
    good = seal_field(cipher, at, "args", SALT, bytes(12), b"payload")
    where = data.draw(st.integers(0, len(good) - 1))
    bad = good[:where] + bytes([good[where] ^ data.draw(st.integers(1, 255))]) + good[where + 1 :]
    with pytest.raises(FlyballError):
        open_field(cipher, at, "args", bad)


@pytest.mark.parametrize("bad", [b"", b"short", bytes(11), bytes(30)])
def test_a_cut_field_is_damage_not_a_traceback(bad: bytes) -> None:
    with pytest.raises(FlyballError, match="does not open"):
        open_field(AESGCM(bytes(32)), place("acme", "r"), "args", bad)


def test_a_field_without_its_salt_is_damage() -> None:
    cipher = AESGCM(bytes(32))
    at = place("acme", "r")
    with pytest.raises(FlyballError, match="no salt"):
        open_field(
            cipher, at, "args", bytes(12) + cipher.encrypt(bytes(12), b"short", b"flyball/seal/v1\0" + at + b"args")
        )


@pytest.mark.parametrize(("salt", "nonce"), [(b"", bytes(12)), (SALT, bytes(11))])
def test_salt_and_nonce_have_their_sizes(salt: bytes, nonce: bytes) -> None:
    with pytest.raises(FlyballError) as refused:
        seal_field(AESGCM(bytes(32)), place("acme", "r"), "args", salt, nonce, b"")
    assert refused.value.code == "bad_seal"


@pytest.mark.parametrize("keys", [[], [b"short"], [bytes(32), b"short"]])
def test_a_combined_key_takes_whole_keys(keys: list[bytes]) -> None:
    with pytest.raises(FlyballError, match="32 bytes"):
        combined_key(keys)


def test_a_combined_key_depends_on_every_key_and_no_order() -> None:
    one, two, three = (bytes([n]) * 32 for n in (1, 2, 3))
    assert combined_key([one]) == combined_key([one, one]) == one
    assert combined_key([one, two]) == combined_key([two, one])
    assert len({combined_key([one, two]), combined_key([one, three]), combined_key([one, two, three])}) == 3


@pytest.mark.promise("gate-bodies-within-one-subject", "journal-bodies-are-stored-once")
def test_a_large_field_is_stored_once_per_key() -> None:
    ring = Ring()
    first = sealed(ring, {"a": BODY, "b": BODY}, "user:kim")
    second = sealed(ring, {"c": BODY}, "user:kim", record="r-2/1/1/intent")
    assert [mac for mac, _ in first.bodies] == [mac for mac, _ in second.bodies]
    assert len(first.payload or b"") < MAX_INLINE
    assert opened(ring, first) == {"a": BODY, "b": BODY}


@pytest.mark.promise("gate-bodies-within-one-subject")
def test_a_body_is_never_shared_across_subjects() -> None:
    ring = Ring()
    macs = {sealed(ring, {"a": BODY}, *who).bodies[0][0] for who in (["a:1"], ["a:2"], ["a:1", "a:2"], [])}
    assert len(macs) == 4


def test_a_missing_body_says_which_field_lost_it() -> None:
    ring = Ring()
    with pytest.raises(FlyballError, match="body of 'a' is not there"):
        opened(ring, Sealed(sealed(ring, {"a": BODY}, "user:kim").payload, ()))


def test_a_body_under_another_mac_does_not_open() -> None:
    ring = Ring()
    told = sealed(ring, {"a": BODY, "b": BODY + b"!"}, "user:kim")
    (first, one), (second, two) = told.bodies
    with pytest.raises(FlyballError) as refused:
        opened(ring, Sealed(told.payload, ((first, two), (second, one))))
    assert refused.value.code == "payload_damaged"


def test_a_body_is_named_under_a_key_of_its_own() -> None:
    assert body_mac(bytes(32), b"x") != body_mac(b"1" * 32, b"x")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_payload_are_damage(raw: bytes) -> None:
    with pytest.raises(FlyballError):
        open_payload(Ring(), "acme", "r", raw, lambda mac: None)


def test_a_newer_payload_is_not_guessed_at() -> None:
    raw = msgspec.msgpack.encode([2, [], {}, {}])
    with pytest.raises(FlyballError) as refused:
        payload_subjects(raw)
    assert refused.value.code == "payload_newer"


@pytest.mark.parametrize("name", ["", "user:kim", "A" * 32, "0" * 31])
def test_a_name_is_no_subject_of_a_keyring(name: str) -> None:
    check_subject("0f" * 16)
    with pytest.raises(FlyballError) as refused:
        check_subject(name)
    assert refused.value.code == "bad_subject"
