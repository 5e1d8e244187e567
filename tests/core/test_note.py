from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.note import (
    Checkpoint,
    Note,
    Signature,
    VerifierKey,
    check_public_key,
    format_checkpoint,
    format_note,
    format_vkey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    public_key,
    sign,
    sign_checkpoint,
    verify,
    verify_ed25519,
)
from tests import vectors

# The examples of the C2SP specifications signed-note and tlog-checkpoint.
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
QUASIMODO = """Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""  # noqa: E501
SOFA = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""  # noqa: E501

SEED, OTHER = bytes(range(32)), bytes(32)
NAME = "flyball.example/log"
KEY = VerifierKey(name=NAME, public=public_key(SEED))
OTHER_KEY = VerifierKey(name=NAME, public=public_key(OTHER))
HEAD = Checkpoint(origin=NAME, size=5, root=bytes(range(32)))

lines = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), max_size=30)
texts = st.lists(lines, min_size=1, max_size=6).map(lambda some: "".join(f"{line}\n" for line in some))
names = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters="+"), min_size=1)


def code_of(call: Callable[..., object], *args: Any, **options: Any) -> str:
    with pytest.raises(FlyballError) as refused:
        call(*args, **options)
    return refused.value.code


def with_line(line: str) -> str:
    return f"text\n\n{line}\n"


def signature_line(name: str = NAME, blob: bytes = bytes(68)) -> str:
    return f"— {name} {base64.b64encode(blob).decode()}"


# --- Ed25519


def test_wycheproof_ed25519_signatures() -> None:
    groups = vectors.load("c2sp_wycheproof", "testvectors_v1", "ed25519_test.json")["testGroups"]
    cases = [(group["publicKey"]["pk"], case) for group in groups for case in group["tests"]]
    assert len(cases) == 151
    for key, case in cases:
        holds = verify_ed25519(*(bytes.fromhex(item) for item in (key, case["msg"], case["sig"])))
        assert holds is (case["result"] == "valid"), case["tcId"]


def test_cctv_keys_are_enrolled_unless_small_order_or_not_canonical() -> None:
    cases = vectors.load("c2sp_cctv", "ed25519", "ed25519vectors.json")
    assert len(cases) == 914
    for case in cases:
        refused = {"low_order_A", "non_canonical_A"} & set(case["flags"] or ())
        public = bytes.fromhex(case["key"])
        if refused:
            assert code_of(check_public_key, public) == "bad_key", case
        else:
            check_public_key(public)


def test_cctv_signatures_of_enrolled_keys_follow_one_rule() -> None:
    cases = vectors.load("c2sp_cctv", "ed25519", "ed25519vectors.json")
    for case in cases:
        flags = set(case["flags"] or ())
        if flags & {"low_order_A", "non_canonical_A"}:
            continue
        holds = verify_ed25519(bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"]))
        assert holds is not bool(flags & {"non_canonical_R", "low_order_residue"}), case


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    assert code_of(check_public_key, bytes(size)) == "bad_key"
    assert code_of(public_key, bytes(size)) == "bad_key"
    assert not verify_ed25519(bytes(size), b"", bytes(64))


def test_bytes_that_are_no_point_are_refused() -> None:
    with pytest.raises(FlyballError, match="not a point"):
        check_public_key((2).to_bytes(32, "little"))


def test_a_key_with_y_beyond_the_field_is_refused() -> None:
    with pytest.raises(FlyballError, match="not canonical"):
        check_public_key((2**255 - 19 + 3).to_bytes(32, "little"))


@given(st.binary(min_size=32, max_size=32))
def test_every_generated_key_may_be_enrolled(private: bytes) -> None:
    check_public_key(public_key(private))


def test_the_public_key_of_rfc_8032_test_1() -> None:
    private = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert public_key(private).hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


# --- verifier keys


def test_the_vkey_of_the_specification_reads_and_writes() -> None:
    key = parse_vkey(VKEY)
    assert (key.name, key.id.hex()) == ("example.com/foo", "530d903a")
    assert format_vkey(key) == VKEY


def test_the_key_id_is_the_documented_hash() -> None:
    assert KEY.id == hashlib.sha256(NAME.encode() + b"\n\x01" + KEY.public).digest()[:4]


@given(names, st.binary(min_size=32, max_size=32))
def test_every_vkey_reads_back(name: str, private: bytes) -> None:
    key = VerifierKey(name=name, public=public_key(private))
    assert parse_vkey(format_vkey(key)) == key


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "example.com/foo",
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("530d903a", "530d903"),
        VKEY.replace("example.com", "example.org"),
        VKEY.replace("+Aeky", "+Beky"),
        VKEY[:-4],
        VKEY + "\n",
        VKEY + "=",
        VKEY.replace("+Aeky", "+é"),
        " " + VKEY,
        VKEY.replace("example.com/foo", ""),
    ],
)
def test_a_malformed_vkey_is_refused(vkey: str) -> None:
    assert code_of(parse_vkey, vkey) == "bad_key"


def test_a_vkey_of_a_small_order_key_is_refused() -> None:
    material = b"\x01" + bytes(32)
    key_id = hashlib.sha256(b"a\n" + material).digest()[:4].hex()
    with pytest.raises(FlyballError, match="small order"):
        parse_vkey(f"a+{key_id}+{base64.b64encode(material).decode()}")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\nb", "a\tb", "a\x00b", "\ud800"])
def test_a_name_that_a_signature_line_cannot_hold_is_refused(name: str) -> None:
    assert code_of(VerifierKey, name=name, public=KEY.public) == "bad_key"
    assert code_of(sign, "text\n", name, SEED) == "bad_key"


# --- notes


@pytest.mark.parametrize("raw", [EXAMPLE, EXAMPLE.encode()])
def test_the_note_of_the_specification_verifies(raw: str | bytes) -> None:
    note = verify(raw, [parse_vkey(VKEY)])
    assert note.text == "This is an example message.\n"
    assert [one.name for one in note.signatures] == ["example.com/foo"]


def test_a_text_may_have_empty_lines() -> None:
    note = parse_note(QUASIMODO)
    assert note.text.endswith("sole:\n\ned è subito sera.\n")
    assert note.signatures[0].name == "quasimodo.example/salvatore"
    assert format_note(note) == QUASIMODO


@given(texts)
def test_a_signed_note_verifies_and_reads_back(text: str) -> None:
    raw = format_note(sign(text, NAME, SEED))
    assert verify(raw, [KEY]).text == text
    assert format_note(parse_note(raw.encode())) == raw


@given(texts, st.integers(0), st.integers(1, 255))
def test_a_note_with_any_byte_changed_is_refused(text: str, at: int, change: int) -> None:
    raw = bytearray(format_note(sign(text, NAME, SEED)).encode())
    raw[at % len(raw)] ^= change
    with pytest.raises(FlyballError):
        verify(bytes(raw), [KEY])


def test_signatures_of_unknown_keys_are_ignored_and_left_out() -> None:
    ours, theirs = sign("text\n", NAME, SEED), sign("text\n", "witness", OTHER)
    both = format_note(Note(text="text\n", signatures=theirs.signatures + ours.signatures))
    assert verify(both, [KEY]) == ours
    assert code_of(verify, format_note(theirs), [KEY]) == "unknown_signers"
    assert code_of(verify, both, []) == "unknown_signers"


def test_a_name_or_an_id_alone_does_not_make_a_key_known() -> None:
    forged = sign("text\n", NAME, OTHER).signatures[0]
    ours = sign("text\n", NAME, SEED).signatures[0]
    renamed = Signature(name="other", key_id=KEY.id, signature=bytes(64))
    assert verify(format_note(Note(text="text\n", signatures=(forged, renamed, ours))), [KEY]).signatures == (ours,)


def test_one_failing_signature_of_a_known_key_refuses_the_note() -> None:
    ours = sign("text\n", NAME, SEED).signatures[0]
    for blob in (bytes(64), b"x", ours.signature + b"\0"):
        broken = Signature(name=NAME, key_id=KEY.id, signature=blob)
        raw = format_note(Note(text="text\n", signatures=(ours, broken)))
        assert code_of(verify, raw, [KEY]) == "bad_signature"


def test_a_signature_given_twice_counts_once() -> None:
    ours = sign("text\n", NAME, SEED)
    raw = format_note(Note(text="text\n", signatures=ours.signatures * 2))
    assert verify(raw, [KEY, KEY]) == ours


def test_two_keys_with_one_name_and_id_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VerifierKey, "id", b"same")
    assert code_of(verify, format_note(sign("text\n", NAME, SEED)), [KEY, OTHER_KEY]) == "ambiguous_key"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "text\n",
        "text\n\n",
        "\n\n" + signature_line(),
        "text\n" + signature_line() + "\n",
        with_line(""),
        with_line(signature_line() + "\n"),
        with_line(signature_line())[:-1],
        with_line(signature_line()).replace("—", "-"),
        with_line(signature_line()).replace("— ", "—"),
        with_line(signature_line(name="a+b")),
        with_line(signature_line(name="")),
        with_line(signature_line(name="a\u2003b")),
        with_line(signature_line(blob=bytes(4))),
        with_line(signature_line()[:-1]),
        with_line(signature_line()[:-2] + "B="),
        with_line(signature_line() + " "),
        with_line("— name"),
        with_line(signature_line()).replace("text", "te\txt"),
        with_line(signature_line()).replace("text", "te\rxt"),
        with_line(signature_line()).replace("\n", "\r\n"),
        "\ud800" + with_line(signature_line()),
        b"\xff" + with_line(signature_line()).encode(),
        "text\n\n" + (signature_line() + "\n") * 65,
        "x" * 1_000_000 + with_line(signature_line()),
    ],
)
def test_a_malformed_note_is_refused(raw: str | bytes) -> None:
    assert code_of(parse_note, raw) == "bad_note"


def test_sixteen_signatures_and_more_are_read() -> None:
    assert len(parse_note("text\n\n" + (signature_line() + "\n") * 64).signatures) == 64


@pytest.mark.parametrize("text", ["", "no newline", "a\tb\n", "\ud800\n"])
def test_a_text_that_is_no_note_is_not_signed(text: str) -> None:
    assert code_of(sign, text, NAME, SEED) == "bad_note"


@pytest.mark.parametrize(
    "signatures",
    [
        (),
        (Signature(name="a b", key_id=bytes(4), signature=b"x"),),
        (Signature(name="a", key_id=b"", signature=b"xyzxyz"),),
    ],
)
def test_signatures_that_no_line_can_hold_are_not_written(signatures: tuple[Signature, ...]) -> None:
    assert code_of(format_note, Note(text="text\n", signatures=signatures)) == "bad_note"


def test_a_private_key_of_another_length_does_not_sign() -> None:
    assert code_of(sign, "text\n", NAME, b"short") == "bad_key"


# --- checkpoints


def test_the_checkpoint_of_the_specification_reads_and_writes() -> None:
    text = parse_note(SOFA).text
    checkpoint = parse_checkpoint(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert format_checkpoint(checkpoint) == text


@given(
    st.builds(
        Checkpoint,
        origin=lines.filter(bool),
        size=st.integers(0, 2**63 - 1),
        root=st.binary(min_size=32, max_size=32),
        extensions=st.lists(lines.filter(bool), max_size=3).map(tuple),
    )
)
def test_every_checkpoint_reads_back(checkpoint: Checkpoint) -> None:
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n5\n",
        format_checkpoint(HEAD)[:-1],
        format_checkpoint(HEAD) + "\n",
        format_checkpoint(HEAD) + "ext\n\next\n",
        format_checkpoint(HEAD) + "ext",
        format_checkpoint(HEAD).replace("\n5\n", "\n05\n"),
        format_checkpoint(HEAD).replace("\n5\n", "\n+5\n"),
        format_checkpoint(HEAD).replace("\n5\n", "\n-5\n"),
        format_checkpoint(HEAD).replace("\n5\n", "\n5 \n"),
        format_checkpoint(HEAD).replace("\n5\n", "\n٥\n"),
        format_checkpoint(HEAD).replace("\n5\n", "\n00\n"),
        format_checkpoint(HEAD).replace("\n5\n", "\n\n"),
        format_checkpoint(HEAD).replace("\n5\n", f"\n{2**63}\n"),
        format_checkpoint(HEAD).replace("\n5\n", "\n" + "9" * 5000 + "\n"),
        format_checkpoint(HEAD).replace("8=", "9="),
        format_checkpoint(HEAD).replace("=", ""),
        format_checkpoint(HEAD).replace(NAME, ""),
        f"{NAME}\n5\nAAAA\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    assert code_of(parse_checkpoint, text) == "bad_checkpoint"


@pytest.mark.parametrize(
    "field",
    [{"size": -1}, {"size": 2**63}, {"root": b""}, {"origin": "a\nb"}, {"extensions": ("",)}, {"origin": "a\tb"}],
)
def test_a_checkpoint_the_format_cannot_say_is_not_made(field: dict[str, Any]) -> None:
    known = {"origin": NAME, "size": 5, "root": bytes(32)}
    assert code_of(Checkpoint, **(known | field)) == "bad_checkpoint"


def test_a_signed_checkpoint_opens_for_its_key_and_origin() -> None:
    raw = sign_checkpoint(HEAD, NAME, SEED)
    assert open_checkpoint(raw, [KEY]) == HEAD
    assert open_checkpoint(raw.encode(), [KEY, OTHER_KEY], origin=NAME) == HEAD


def test_a_checkpoint_of_another_log_or_signer_does_not_open() -> None:
    raw = sign_checkpoint(HEAD, NAME, SEED)
    assert code_of(open_checkpoint, raw, [KEY], origin="flyball.example/other") == "wrong_origin"
    assert code_of(open_checkpoint, raw, [OTHER_KEY]) == "unknown_signers"
    assert code_of(open_checkpoint, format_note(sign("no checkpoint\n", NAME, SEED)), [KEY]) == "bad_checkpoint"
