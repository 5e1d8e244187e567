"""What the pack finds in a plain text: one function per kind, each linear in the text.

Rules:

* A detector starts from what is rare (an `@`, a run of digits, a literal) and looks a bounded way around it.
* What it finds in a text it finds in every part of it that begins and ends between words and not within something
  found: so a stream that is looked at piece by piece (`core.window`) holds no more secrets than the whole.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from flyball.adapters.guard_pack.normal import INVISIBLE, invisible, plain_form
from flyball.adapters.guard_pack.numbers import CARD_DIGITS, IBAN_LENGTHS, card, iban
from flyball.adapters.guard_pack.shapes import PEM_HEAD, PEM_MOST, PEM_TAIL, SHAPES, WORD, bits, random_word

MOST_LOCAL, MOST_DOMAIN = 64, 253
LEAST_ENCODED: Final = 24


class Found(NamedTuple):
    """Something found: `[start, end)` of the plain form, its kind, a word for what it is, thousandths of certainty."""

    start: int
    end: int
    kind: str
    reason: str
    score: int


Detector = Callable[[str], Iterator[Found]]

_LOCAL: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-")
_DOMAIN: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)
_DIGITS: Final = re.compile(r"[0-9](?:[ -]?[0-9])*")
# A pattern that begins with what is rare is looked for fast: what must not stand before it is said behind it.
_IBAN: Final = re.compile(r"[0-9](?<=[A-Za-z]{2}[0-9])(?<![A-Za-z0-9][A-Za-z]{2}[0-9])[0-9]")
_REST: Final = r"[0-9](?:[ .-]?[0-9]){5,9}(?![0-9])"
_PHONES: Final[tuple[tuple[re.Pattern[str], int], ...]] = (
    (re.compile(r"\+(?<![\w+]\+)[1-9](?:[ ()./-]{0,2}[0-9]){7,14}(?![0-9])"), 800),
    (re.compile(r"00(?<![\w+]00)[1-9](?:[ ()./-]{0,2}[0-9]){7,14}(?![0-9])"), 800),
    (re.compile(rf"\((?<![\w+]\()[0-9]{{2,5}}\) ?{_REST}"), 600),
    (re.compile(rf"0(?<![\w+]0)[0-9]{{2,4}}[ /-]{_REST}"), 600),
    (re.compile(rf"[2-9](?<![\w+][2-9])[0-9]{{2}}[-.]{_REST}"), 600),
)
_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_-]{24,4096}={0,2}")


def emails(text: str) -> Iterator[Found]:
    """Addresses: a local part of at most 64 characters, a domain with a dot in it."""
    at = text.find("@")
    while at >= 0:
        start = at
        while start > 0 and at - start < MOST_LOCAL and text[start - 1] in _LOCAL:
            start -= 1
        while start < at and text[start] in ".'`":  # a quotation mark or a dot before it is no part of it
            start += 1
        domain = _DOMAIN.match(text, at + 1, at + 1 + MOST_DOMAIN)
        if start < at and domain is not None:
            yield Found(start, domain.end(), "email", "email", 900)
        at = text.find("@", at + 1)


def cards(text: str) -> Iterator[Found]:
    """Payment cards in groups or not: every group of a run of digits may be where one begins."""
    for run in _DIGITS.finditer(text):
        if run.end() - run.start() >= CARD_DIGITS.start:
            yield from _cards_in(text, run.start(), run.end())


def _cards_in(text: str, start: int, end: int) -> Iterator[Found]:
    places = [at for at in range(start, end) if text[at].isdigit()]
    digits = "".join(text[at] for at in places)
    for first, at in enumerate(places):
        if at > start and text[at - 1].isdigit():
            continue  # within a group
        for size in CARD_DIGITS:
            last = first + size - 1
            if last >= len(places):
                break
            after = places[last] + 1
            if (after >= len(text) or not text[after].isdigit()) and card(digits[first : last + 1]):
                yield Found(at, after, "card", "card", 950)


def ibans(text: str) -> Iterator[Found]:
    """Account numbers, in groups with a blank between them or without."""
    for head in _IBAN.finditer(text):
        start = head.start() - 2
        end = _account_end(text, start, IBAN_LENGTHS.get(text[start : start + 2].upper(), 0))
        if end and iban(text[start:end].replace(" ", "").upper()):
            yield Found(start, end, "iban", "iban", 970)


def _account_end(text: str, start: int, length: int) -> int:
    """Where an account of this length that begins here ends; 0 where it does not."""
    taken, at = 0, start
    while taken < length and at < len(text):
        if text[at].isascii() and text[at].isalnum():
            taken += 1
        elif text[at] != " " or text[at - 1] == " ":
            return 0
        at += 1
    alone = at >= len(text) or not text[at].isalnum()
    return at if length and taken == length and alone else 0


def phones(text: str) -> Iterator[Found]:
    """Telephone numbers: with a country's code, or written as nobody writes an amount."""
    for pattern, score in _PHONES:
        for match in pattern.finditer(text):
            yield Found(match.start(), match.end(), "phone", "phone", score)


def secrets(text: str) -> Iterator[Found]:
    """Keys of known services, private keys, and what is assigned to a name such as `password`."""
    for shape in SHAPES:
        if any(literal in text for literal in shape.literals):
            for match in shape.pattern.finditer(text):
                if shape.name != "assigned":
                    yield Found(match.start(), match.end(), "secret", shape.name, 990)
                elif bits(match["value"]) >= 2.5 and any(not c.isalpha() for c in match["value"]):
                    yield Found(match.start("value"), match.end("value"), "secret", shape.name, 700)
    if "-----BEGIN " in text:
        for head in PEM_HEAD.finditer(text):
            tail = PEM_TAIL.search(text, head.end(), head.end() + PEM_MOST)
            end = tail.end() if tail else min(len(text), head.end() + PEM_MOST)
            yield Found(head.start(), end, "secret", "private_key", 1_000)


def random_words(text: str) -> Iterator[Found]:
    """Words that look like keys of a service nobody here knows."""
    for match in WORD.finditer(text):
        if random_word(match.group()):
            yield Found(match.start(), match.end(), "entropy", "random_word", 600)


def encoded(text: str) -> Iterator[Found]:
    """Readable text behind base64: what was written so that nobody reads it on the way."""
    for match in _ENCODED.finditer(text):
        said = decoded(match.group())
        if said:
            worst = max((f.score for f in inside(said)), default=700)
            yield Found(match.start(), match.end(), "base64", "encoded_text", worst)


def decoded(word: str) -> str:
    """The text that a base64 word stands for; empty where it stands for none."""
    bare = word.rstrip("=").replace("-", "+").replace("_", "/")
    if len(bare) % 4 == 1:
        return ""
    try:
        said = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    readable = sum(c.isalnum() or c.isspace() for c in said)
    return said if len(said) >= LEAST_ENCODED // 2 and said.isprintable() and readable >= 0.7 * len(said) else ""


def inside(text: str) -> Iterator[Found]:
    """What stands in a text that was hidden, one layer deep."""
    plain = plain_form(text).text
    for detector in (emails, cards, ibans, phones, secrets):
        yield from detector(plain)


# Of two kinds that say the same of the same characters the first is told.
DETECTORS: Final[Mapping[str, Detector]] = {
    "secret": secrets, "email": emails, "card": cards, "iban": ibans, "phone": phones, "base64": encoded,
    "entropy": random_words,
}  # fmt: skip


def hidden(text: str) -> Iterator[Found]:
    """Characters that nobody sees, in the text as it is: tags, bidirectional controls, zero width.

    What joins or varies a character that is no ASCII (emoji, scripts that need it) belongs to it.
    """
    if text.isascii():
        return
    for match in INVISIBLE.finditer(text):
        if not _needed(text, match.start(), match.group()):
            word, score = _named(match.group())
            yield Found(match.start(), match.end(), "hidden", word, score)


def _needed(text: str, at: int, char: str) -> bool:
    joins = char in "\u200c\u200d" or "\ufe00" <= char <= "\ufe0f"
    before = text[at - 1] if at else "a"
    return joins and not before.isascii() and not invisible(before)


def _named(char: str) -> tuple[str, int]:
    if "\U000e0000" <= char <= "\U000e007f":
        return "hidden_tags", 950
    if char in "\u061c\u200e\u200f" or "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u206f":
        return "hidden_direction", 900
    return "hidden_character", 800
