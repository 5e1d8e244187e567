"""The shapes of secrets: how keys of known services look, and what looks like a key without being known.

Rules:

* A shape begins with a literal that hardly stands elsewhere: where none of the literals stands, nothing is matched.
* Every repeat is bounded and none stands in another, so that no text makes the work grow faster than itself
  (`tests/adapters/guard_pack/test_shapes.py` computes the bound of each from its parse tree).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final, NamedTuple

# A key is no part of a longer word.
_HEAD: Final = r"(?<![A-Za-z0-9])"
_TAIL: Final = r"(?![A-Za-z0-9])"


class Shape(NamedTuple):
    """A kind of key: the literals one of which every match has in it, and what matches."""

    name: str
    literals: tuple[str, ...]
    pattern: re.Pattern[str]


def _key(name: str, literals: tuple[str, ...], rest: str, head: str = _HEAD) -> Shape:
    return Shape(name, literals, re.compile(f"{head}{rest}"))


SHAPES: Final[tuple[Shape, ...]] = (
    _key("aws_key", ("AKIA", "ASIA"), rf"(?:AKIA|ASIA)[0-9A-Z]{{16}}{_TAIL}"),
    _key("github_token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36,251}"),
    _key("github_token", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{22,251}"),
    _key("gitlab_token", ("glpat-",), r"glpat-[A-Za-z0-9_-]{20,128}"),
    _key("slack_token", ("xox",), r"xox[abeoprs]-[A-Za-z0-9-]{10,251}"),
    _key("slack_hook", ("hooks.slack.com/",), r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,128}", ""),
    _key("stripe_key", ("_live_", "_test_"), r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,251}"),
    _key("model_key", ("sk-",), r"sk-[A-Za-z0-9_-]{20,251}"),
    _key("google_key", ("AIza",), r"AIza[0-9A-Za-z_-]{35}"),
    _key("sendgrid_key", ("SG.",), r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}"),
    _key("package_token", ("npm_",), r"npm_[A-Za-z0-9]{36}"),
    _key("package_token", ("pypi-",), r"pypi-[A-Za-z0-9_-]{32,251}"),
    _key("hub_token", ("hf_",), r"hf_[A-Za-z0-9]{30,64}"),
    _key("age_key", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    _key("signed_token", ("eyJ",), r"eyJ[A-Za-z0-9_-]{8,2048}\.[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{0,1024}"),
    _key(
        "assigned",
        ("=", ":"),
        r"(?i:password|passwd|secret|token|api[_-]?key|access[_-]?key|client[_-]?secret)[\"']?[ \t]{0,4}[:=][ \t]{0,4}"
        r"[\"']?(?P<value>[^\s\"',;]{8,128})",
        r"(?<![A-Za-z0-9])",
    ),
)  # fmt: skip

PEM_HEAD: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY-----")
PEM_TAIL: Final = re.compile(r"-----END (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY-----")
# Of a key whose end is missing this much is taken.
PEM_MOST: Final = 8_192

WORD: Final = re.compile(r"[A-Za-z0-9+/_=-]{20,512}")
LEAST_BITS: Final = 4.0


def bits(word: str) -> float:
    """The Shannon entropy of a word in bits per character."""
    size = len(word)
    return -sum(n / size * math.log2(n / size) for n in Counter(word).values())


def random_word(word: str) -> bool:
    """Does it look like a key: capitals, small letters and digits mixed, hardly a character repeated?"""
    plain = word.strip("=-_/+")
    if len(plain) < 20 or "/" in plain[:2]:
        return False
    mixed = any(c.isdigit() for c in plain) and any(c.isupper() for c in plain) and any(c.islower() for c in plain)
    return mixed and bits(plain) >= LEAST_BITS
