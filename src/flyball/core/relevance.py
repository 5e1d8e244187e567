"""Relevance: how well a memory answers a query, from 0 to 1. It depends on the two alone: neither on how many memories
there are nor on what stands in other people's, so that it says nothing about them and means the same tomorrow.

Rules:

* A text is the set of its words: compatibility forms, case and accents folded, English plurals by Harman's S-stemmer
  ("How effective is suffixing?", JASIS 1991). Scripts without spaces are taken in pairs of characters.
* Of a query only words with content count, unless it has none.
* *Coverage* is the share of the query's words that stand in the memory or in what it is about. *Address* is the share
  of the words of what it is about that stand in the query. The words' score is the greater of the two.
* Where an embedding model is configured, the score is the greater of the words' score and of the cosine of the two
  vectors, stretched from the model's `floor` (what unrelated texts have) to 1.
* Of equal scores the greater coverage comes first, then the younger memory.

>>> words("Kim's drinks: Café")
('kim', 'drink', 'cafe')
>>> relevance(words("what does Kim drink?"), words("Kim drinks tea"), words("kim"))
1.0
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

MOST_WORDS: Final = 64

_WORD: Final = re.compile(r"[^\W_]+")
_POSSESSIVE: Final = re.compile(r"['\u2019]s\b")
_UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")


def words(text: str) -> tuple[str, ...]:
    """The words of a text in order, in the form in which they are compared."""
    apart = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(c for c in apart if not unicodedata.combining(c))
    plain = _POSSESSIVE.sub("", unicodedata.normalize("NFC", bare))
    return tuple(part for word in _WORD.findall(plain) for part in _parts(word))


def _parts(word: str) -> Sequence[str]:
    if word.isascii():
        return (_singular(word),)
    if not _UNSPACED.search(word):
        return (word,)
    return [word[n : n + 2] for n in range(max(1, len(word) - 1))]


def _singular(word: str) -> str:
    if len(word) < 3 or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else f"{word[:-3]}y"
    if word.endswith("es"):
        return word if word.endswith(("aes", "ees", "oes")) else word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]


_FUNCTION: Final = """
    a about after all am an and any are as at be been but by can could did do does for from had has have he her his how
    i if in into is it its me my of on or our she should so some than that the their them then there they this to us was
    we were what when where which who why will with would you your
"""
FUNCTION_WORDS: Final = frozenset(map(_singular, _FUNCTION.split()))


@lru_cache(maxsize=256)  # one query is compared with many memories
def content(query: tuple[str, ...]) -> frozenset[str]:
    """The words of a query that count: those with content, all where none has any; the first MOST_WORDS of a long
    one."""
    distinct = dict.fromkeys(query)
    telling = [word for word in distinct if word not in FUNCTION_WORDS] or list(distinct)
    return frozenset(telling[:MOST_WORDS])


def coverage(query: tuple[str, ...], memory: Sequence[str], about: Sequence[str]) -> float:
    """The share of the query's words that stand in a memory or in what it is about."""
    asked = content(query)
    return len(asked & {*memory, *about}) / len(asked) if asked else 0.0


def relevance(query: tuple[str, ...], memory: Sequence[str], about: Sequence[str]) -> float:
    """The words' score of a memory for a query, 0 to 1, to three places."""
    named = frozenset(about)
    address = len(named & frozenset(query)) / len(named) if named else 0.0
    return round(max(coverage(query, memory, about), address), 3)


def joined(lexical: float, cosine: float | None, floor: float) -> float:
    """The score of both: the better of two witnesses, each from 0 to 1. `floor` is below 1."""
    if cosine is None:
        return lexical
    return round(max(lexical, min(1.0, (cosine - floor) / (1 - floor))), 3)
