"""Write if useful: what of that which somebody wants remembered is worth keeping, and may be kept.

Rules, the first that fits:

* `too_short`: fewer than MIN_TEXT characters, or no word. `too_long`: more than MAX_TEXT; a document is a source.
* `secret`: it looks like a password, a key or a token.
* What the same owner has about the same in the same words is *merged*: it lives as long as the longer of the two, is as
  sensitive as both, and is vouched for only if both are.
* `nothing_new`: its words stand, in a row, in a memory of the same owner about the same.
* `full`: the tenant, or whoever writes, keeps as many memories or bytes as they may.
* Else it is kept. What is about the same and says something else stays beside it: both are told, with their dates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from flyball.core.memory import Kept, Skipped, Written
from flyball.core.relevance import words
from flyball.core.source import highest

MIN_TEXT: Final = 3
MAX_TEXT: Final = 4_000
# Each takes time that grows with the text and no faster.
_NAMED: Final = r"(?:password|passwd|passphrase|passwort|api[ _-]?key|secret[ _-]?key|access[ _-]?token)"
SECRETS: Final = tuple(map(re.compile, (
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY", r"\bAKIA[0-9A-Z]{16}\b", r"\b(?:gh[pousr]|github_pat)_\w{20,}",
    r"\b(?:sk|pk|rk)-[\w-]{16,}", r"\bxox[abprs]-[\w-]{10,}", r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",
    rf"(?i)\b{_NAMED}(?: is|:|=| =| :)\s{{0,3}}\S{{4,}}",
)))  # fmt: skip


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept, or may be: memories, and bytes of their texts."""

    items: int
    bytes: int


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a tenant, and each of its principals, may keep."""

    tenant: Usage
    principal: Usage


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant and one principal in it keep now."""

    tenant: Usage
    principal: Usage


def useful(new: Kept, near: Sequence[Kept], standing: Standing, caps: Caps) -> Written:
    """What becomes of `new`, given what its owner keeps about the same (`near`, none of it expired)."""
    said = words(new.text)
    skipped = _unfit(new.text, said)
    if skipped is not None:
        return Written(skipped=skipped)
    known = [(one, words(one.text)) for one in near]
    same = next((one for one, its in known if its == said), None)
    if same is not None:
        return Written(kept=merged(same, new), merged=True, contradicts=_others(known, said))
    inside = next((one for one, its in known if _within(said, its)), None)
    if inside is not None:
        return Written(skipped=Skipped(reason="nothing_new", detail=f"{inside.id} says so already"))
    full = _full(new, standing, caps)
    return Written(skipped=full) if full is not None else Written(kept=new, contradicts=_others(known, said))


def merged(old: Kept, new: Kept) -> Kept:
    """What is known twice, as one."""
    return replace(
        old, expires=max(old.expires, new.expires), trusted=old.trusted and new.trusted,
        origin=new.origin if old.trusted and not new.trusted else old.origin,
        sensitivity=highest([old.sensitivity, new.sensitivity]), subjects=tuple(sorted({*old.subjects, *new.subjects})),
    )  # fmt: skip


def _unfit(text: str, said: Sequence[str]) -> Skipped | None:
    if len(text.strip()) < MIN_TEXT or not said:
        return Skipped(reason="too_short", detail="it says nothing")
    if len(text) > MAX_TEXT:
        detail = f"{len(text)} characters are more than {MAX_TEXT}: a document is a source"
        return Skipped(reason="too_long", detail=detail)
    if any(pattern.search(text) for pattern in SECRETS):
        return Skipped(reason="secret", detail="it looks like a password, a key or a token")
    return None


def _within(said: tuple[str, ...], its: tuple[str, ...]) -> bool:
    return any(its[n : n + len(said)] == said for n in range(len(its) - len(said) + 1))


def _others(known: Sequence[tuple[Kept, tuple[str, ...]]], said: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one.id for one, its in known if its != said)


def _full(new: Kept, standing: Standing, caps: Caps) -> Skipped | None:
    size = len(new.text.encode(errors="surrogatepass"))
    for who, now, most in (
        ("this tenant", standing.tenant, caps.tenant), ("this principal", standing.principal, caps.principal),
    ):  # fmt: skip
        if now.items + 1 > most.items or now.bytes + size > most.bytes:
            kept = f"{who} keeps {now.items} memories of {now.bytes} bytes"
            detail = f"{kept}, of at most {most.items} and {most.bytes}: forget some, or raise [memory] in flyball.toml"
            return Skipped(reason="full", detail=detail)
    return None
