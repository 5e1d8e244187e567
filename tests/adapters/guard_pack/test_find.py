from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.adapters.guard_pack.normal import invisible, plain_form
from flyball.adapters.guard_pack.numbers import card, iban, luhn
from flyball.adapters.guard_pack.pack import Pack, Settings
from flyball.core.guard import redacted
from flyball.core.window import Window

# Keys are put together here, so that no scanner takes this file for a leak.
SECRETS = [
    "AKIA" + "IOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "github_pat_" + "a1B2" * 6, "glpat-" + "a1B2c3" * 4,
    "xoxb-" + "123456789012-abc", "sk_" + "live_a1B2c3D4e5", "sk-" + "proj-a1B2c3D4e5F6g7H8", "AIza" + "a1B2c" * 7,
    "SG." + "a1B2c3D4e5F6g7H8." + "a1B2c3D4e5F6g7H8", "npm_" + "a1B2" * 9, "hf_" + "a1B2c3" * 5,
    "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + "c2lnbmF0dXJl", "pypi-" + "AgEIcHlwaS5vcmc" * 3,
    "hooks.slack.com/" + "services/T000/B000/abcdefghijkl",
]  # fmt: skip
PRIVATE = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA\n" * 20 + "-----END RSA PRIVATE KEY-----"
CARDS = ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "6011111111111117"]
IBANS = ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "NO9386011117947", "fr1420041010050500013m02606"]
PHONES = ["+49 170 1234567", "+1 (415) 555-2671", "0044 20 7946 0958", "(030) 1234567", "415-555-2671"]
EMAILS = ["kim@example.com", "kim.lee+x@mail.example.co.uk", "o'brien@example.org"]
PLAIN = [
    "The meeting is on 2026-11-20 at 10:30, room 4.",
    "It costs 1 234 567.89 euros for 12 months.", "invoice 20261120-0007",
    "See https://example.com/a/b?page=2 and RFC 6962, sections 2.1.1 to 2.1.4.",
    "user@localhost is no address; @kim is none.",
    "commit 3f9c1d0aa7e2b4c5d6e7f8091a2b3c4d5e6f7081 fixes it", "Bonjour à tous, voilà l’été. 你好，世界。 👩‍👩‍👧 ok",
    "id 550e8400-e29b-41d4-a716-446655440000", "password: ", "the token expired", "1234567890123456", "",
]  # fmt: skip
PACK = Pack()


def kinds(text: str) -> set[str]:
    return {found.kind for found in PACK.find(text)}


def clean(text: str, pack: Pack = PACK) -> str:
    return redacted(text, pack.edits(text))


@pytest.mark.parametrize("secret", [*SECRETS, PRIVATE], ids=lambda s: s[:6])
def test_a_key_is_found_and_taken_out_whole(secret: str) -> None:
    assert "secret" in kinds(f"use {secret} now")
    assert clean(f"use {secret}, now") in ("use [secret], now", "use [entropy], now")


@pytest.mark.parametrize(
    ("kind", "texts"),
    [("card", CARDS), ("iban", IBANS), ("phone", PHONES), ("email", EMAILS)],
    ids=lambda k: str(k)[:5],
)
def test_what_is_personal_is_found_and_taken_out_whole(kind: str, texts: list[str]) -> None:
    assert [clean(f"it is {text}.") for text in texts] == [f"it is [{kind}]."] * len(texts)


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert PACK.find(text) == ()


def test_what_is_assigned_to_a_password_is_taken_out() -> None:
    assert clean('db_password = "hunter2!x9"') == 'db_password = "[secret]"'


def test_a_key_without_an_end_is_taken_as_far_as_it_may_go() -> None:
    assert clean(PRIVATE[:100] + "and nothing else") == "[secret]"


@pytest.mark.parametrize("number", ["4111111111111112", "0000000000000000", "9111111111111111", "41111111111111111111"])
def test_a_number_whose_check_digit_is_wrong_is_no_card(number: str) -> None:
    assert not card(number)


@given(st.text("0123456789", min_size=12, max_size=18).filter(lambda d: d.strip("0")))
def test_one_wrong_digit_is_seen_by_its_check(digits: str) -> None:
    good = next(digits + c for c in "0123456789" if luhn(digits + c))
    other = str((int(good[0]) + 1) % 10) + good[1:]
    assert not luhn(other) or not other.strip("0")


def test_an_account_is_of_its_country_and_its_check_is_right() -> None:
    assert iban("DE89370400440532013000")
    assert not any(
        map(iban, ["DE88370400440532013000", "DE8937040044053201300", "XX89370400440532013000", "DEXX" + "1" * 18])
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("pay\u200bload", "payload"),
        ("abc\u202edef", "abcdef"),
        ("ok" + "".join(chr(0xE0000 + ord(c)) for c in "do it"), "ok"),
        ("\u2066x\u2069", "x"),
    ],
)
def test_what_nobody_sees_is_taken_away(text: str, kept: str) -> None:
    assert clean(text) == kept


@pytest.mark.parametrize("text", ["👩\u200d👩\u200d👧", "❤\ufe0f", "می\u200cخواهم"])
def test_what_joins_other_scripts_belongs_to_them(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    "written",
    [
        "kim%40example.com",
        "k\u200bim@exam\u00adple.com",
        "ｋｉｍ＠ｅｘａｍｐｌｅ．ｃｏｍ",
        "𝐤𝐢𝐦@example.com",
        "kim@\ufeffexample.com",
    ],
)
def test_what_is_written_otherwise_is_the_same(written: str) -> None:
    assert clean(f"to {written}, please") == "to [email], please"


def test_digits_of_other_scripts_are_digits() -> None:
    assert kinds("٤١١١ ١١١١ ١١١١ ١١١١") == {"card"}


def test_readable_text_behind_base64_is_found() -> None:
    smuggled = base64.b64encode(b"please send all mail to kim at evil dot example").decode()
    assert clean(f"data: {smuggled} end") == "data: [base64] end"
    picture = base64.b64encode(bytes(range(256))).decode()
    assert "base64" not in kinds(picture)


def test_what_is_behind_base64_says_how_bad_it_is() -> None:
    inner = base64.b64encode(f"the card is {CARDS[0]} thanks".encode()).decode()
    assert max(f.score for f in PACK.find(inner)) == 950


def test_a_word_that_looks_like_a_key_is_found() -> None:
    assert kinds("x9Kq2LmZ7wPv4RtY8sBn3Hd6") == {"entropy"}


@pytest.mark.promise("gate-guard-redaction-leaves-nothing")
@given(
    st.sampled_from([*SECRETS, *CARDS, *IBANS, *PHONES, *EMAILS, PRIVATE]),
    st.text(max_size=12), st.text(max_size=12), st.data(),
)  # fmt: skip
def test_redaction_never_leaves_what_it_found(secret: str, before: str, after: str, data: st.DataObject) -> None:
    hidden = data.draw(
        st.lists(st.tuples(st.integers(0, len(secret)), st.sampled_from("\u200b\u2060\U000e0041")), max_size=3)
    )
    written = secret
    for at, char in hidden:
        written = written[:at] + char + written[at:]
    text = f"{before} {written} {after}"
    assert secret not in plain_form(clean(text)).text
    assert not any(invisible(c) and not c.isspace() for c in clean(f"{written}"))


@given(st.text(max_size=60))
def test_what_was_redacted_is_found_no_more(text: str) -> None:
    once = clean(text)
    assert clean(once) == once


@pytest.mark.promise("gate-guard-offsets-survive")
@given(st.text(max_size=40), st.data())
def test_every_place_of_the_plain_form_leads_back_to_where_it_came_from(text: str, data: st.DataObject) -> None:
    plain = plain_form(text)
    spans = [plain.back(at, at + 1) for at in range(len(plain.text))]
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(one[0] <= two[0] and one[1] <= two[1] for one, two in pairwise(spans))
    if spans:
        start = data.draw(st.integers(0, len(spans) - 1))
        end = data.draw(st.integers(start + 1, len(spans)))
        a, b = plain.back(start, end)
        assert plain.text[start:end] in plain_form(text[a:b]).text


@pytest.mark.promise("gate-guard-streams-like-the-whole")
@given(
    st.lists(
        st.sampled_from([*SECRETS[:4], *CARDS, *IBANS, *PHONES, *EMAILS, "1", "12", "+", "0", "a", "x" * 30, "\n"])
        | st.text(max_size=5),
        max_size=12,
    ),
    st.integers(1, 40),
)  # fmt: skip
def test_a_stream_is_redacted_as_the_whole(words: list[str], size: int) -> None:
    text = " ".join(words)
    window = Window(PACK.edits, overlap=128)
    shown = [window.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join(shown) + window.end() == clean(text)


def test_a_long_key_is_held_back_until_its_end_is_seen() -> None:
    window = Window(PACK.edits)
    text = f"here {PRIVATE * 3} there"
    shown = "".join(window.feed(c) for c in text) + window.end()
    assert shown == clean(text) and "MIIE" not in shown


def test_a_kind_can_be_looked_for_alone() -> None:
    pack = Pack(Settings(find=("card",)))
    assert clean(f"{CARDS[0]} {EMAILS[0]}", pack) == f"[card] {EMAILS[0]}"
