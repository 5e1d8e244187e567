from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.commitment import check, commit, pseudonym
from flyball.core.errors import FlyballError

SALT = bytes(range(32))
salts = st.binary(min_size=32, max_size=32)
fields = st.from_regex(r"[a-z_.]{1,20}", fullmatch=True)


def test_a_commitment_is_the_documented_hash() -> None:
    expected = hashlib.sha256(b"flyball/commit/v1" + b"\0" + b"args" + b"\0" + SALT + b"data").hexdigest()
    assert commit("args", SALT, b"data") == expected


@given(fields, salts, st.binary())
def test_an_opening_opens_its_own_commitment(field: str, salt: bytes, data: bytes) -> None:
    assert check(commit(field, salt, data), field, salt, data)


@given(salts, salts, st.binary(), st.binary())
def test_another_salt_or_other_data_does_not_open(salt: bytes, other: bytes, data: bytes, more: bytes) -> None:
    commitment = commit("args", salt, data)
    assert check(commitment, "args", other, data) == (salt == other)
    assert check(commitment, "args", salt, more) == (data == more)


def test_an_opening_of_one_field_does_not_pass_for_another() -> None:
    assert not check(commit("args", SALT, b"data"), "result", SALT, b"data")


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_a_salt_of_the_wrong_length_is_refused(salt: bytes) -> None:
    with pytest.raises(FlyballError) as refused:
        commit("args", salt, b"")
    assert refused.value.code == "bad_commitment"
    assert not check("00" * 32, "args", salt, b"")


@pytest.mark.parametrize("field", ["", "a\0b"])
def test_a_field_that_would_make_openings_ambiguous_is_refused(field: str) -> None:
    with pytest.raises(FlyballError, match="NUL"):
        commit(field, SALT, b"")


def test_a_commitment_in_any_other_text_does_not_open() -> None:
    assert not check("é", "args", SALT, b"")
    assert not check(commit("args", SALT, b"").upper(), "args", SALT, b"")


def test_a_pseudonym_is_hmac_sha_256_cut_to_128_bits() -> None:
    # RFC 4231, test case 1
    assert pseudonym(b"\x0b" * 20, "Hi There") == "b0344c61d8db38535ca8afceaf0bf12b"


@pytest.mark.promise("journal-leaves-name-nobody")
def test_a_pseudonym_depends_on_key_and_value() -> None:
    names = {pseudonym(key, value) for key in (bytes(32), b"k" * 32) for value in ("anna", "ben")}
    assert len(names) == 4


def test_a_short_key_makes_no_pseudonym() -> None:
    with pytest.raises(FlyballError) as refused:
        pseudonym(b"short", "anna")
    assert refused.value.code == "bad_key"
