"""Where a value came from, decided by value: the request, a trusted field of a tool's output, a default, an approver.

* A leaf matches whole or not at all, exactly or normalised (NFKC, case folded, blanks collapsed; numbers by value).
* In the request's free text, a token counts only if it cannot occur by accident: an address with `@`, or at least
  MIN_TOKEN characters with a digit in them. A short id in a sentence ("June 13") authorises nothing.
* Free text of a system of record is never trusted, whoever owns the record: only fields marked `Trusted`.
* What matches nothing is `unknown`, and unknown is not trusted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

UNKNOWN: Final = "unknown"
REQUEST: Final = "request"
DEFAULT: Final = "default"
APPROVER: Final = "approver"
MODIFIED: Final = "policy"
SEVERAL: Final = "several"
MIN_TOKEN: Final = 8
_SMALL: Final = 2**63  # what is larger is rare, and Python does not print what is very large
_TOKEN = re.compile(r"[^\s,;<>()\[\]{}\"'`]+")


class Origins(msgspec.Struct, frozen=True):
    """Known values by their normal form, each with its origin. Earlier sources win."""

    known: Mapping[str, str] = {}


def normal(value: Any) -> str | None:
    """The form in which two leaves are compared; None for what says nothing (null, booleans, empty text, NaN)."""
    if value is None or isinstance(value, bool):
        return None
    if type(value) is int and -_SMALL < value < _SMALL:
        digits = str(abs(value))
        kept = digits.rstrip("0")
        return f"n:{'-' if value < 0 else ''}{kept}e{len(digits) - len(kept)}" if kept else "n:0"
    if isinstance(value, (int, float, Decimal)):
        return _number(Decimal(repr(value)) if isinstance(value, float) else Decimal(value))
    text = str(value)
    # Of ASCII the compatibility form is the text itself, and folding is lower case.
    text = " ".join((text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()).split())
    return f"s:{text}" if text else None


def _number(value: Decimal) -> str | None:
    # Not normalize(): that rounds to the context's precision, and two large numbers would become one.
    if not value.is_finite():
        return None
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    kept = text.rstrip("0")
    return f"n:{'-' if sign else ''}{kept}e{int(exponent) + len(text) - len(kept)}" if kept else "n:0"


def leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its JSON pointer, list items under `*`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{at}/{_step(key)}")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item, f"{at}/*")
    else:
        yield at, value


def _step(key: object) -> str:
    # Escaped as RFC 6901 says, and a star too: a key in an untrusted object must not look like another place.
    text = str(key).replace("~", "~0").replace("/", "~1")
    return "~2" if text == "*" else text


def forms(value: Any) -> frozenset[str]:
    """The normal forms of every leaf that says something."""
    return frozenset(form for _, leaf in leaves(value) if (form := normal(leaf)) is not None)


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        token = match.group().strip(".:!?*_")
        if "@" in token[1:-1] or (len(token) >= MIN_TOKEN and any(c.isdigit() for c in token)):
            yield token


def with_request(origins: Origins, request: Any) -> Origins:
    """Adds the leaves of the principal's own request, and the tokens of its texts that cannot be accidents."""
    known = dict(origins.known)
    for form, _ in _named(request):
        known.setdefault(form, REQUEST)
    return Origins(known)


def values(request: Any) -> Iterator[Any]:
    """What a person names in a request: its leaves that say something, and such tokens of its texts."""
    return (value for _, value in _named(request))


def _named(request: Any) -> Iterator[tuple[str, Any]]:
    for _, leaf in leaves(request):
        for found in (leaf, *(_tokens(leaf) if isinstance(leaf, str) else ())):
            form = normal(found)
            if form is not None:
                yield form, found


def with_output(origins: Origins, tool: str, value: Any, trusted: frozenset[str]) -> Origins:
    """Adds the trusted fields of a tool's output as `tool.field`; a pointer behind `~` is of no origin all the same."""
    if not trusted:
        return origins
    known = dict(origins.known)
    for at, leaf in leaves(value):
        form = normal(leaf)
        if form is not None and _covered(at, trusted) and f"~{at}" not in trusted:
            known.setdefault(form, _label(tool, at))
    return Origins(known)


def untrusted(value: Any, trusted: frozenset[str]) -> bool:
    """Does the output hold text that no system of record vouches for? That taints the run."""
    if isinstance(value, str):
        return value != "" and "" not in trusted
    if not trusted:
        return _says(value)
    return any(isinstance(leaf, str) and leaf != "" and not _covered(at, trusted) for at, leaf in leaves(value))


def _says(value: Any) -> bool:
    if isinstance(value, str):
        return value != ""
    if isinstance(value, Mapping):
        return any(_says(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(_says(item) for item in value)


def _covered(at: str, trusted: frozenset[str]) -> bool:
    return at in trusted or any(at.startswith(f"{t}/") for t in trusted) or "" in trusted


def _label(tool: str, at: str) -> str:
    named = [part for part in at.split("/") if part not in ("", "*")]
    return ".".join((tool, *named))


def trace(arguments: Mapping[str, Any], origins: Origins, given: frozenset[str] | None = None) -> dict[str, str]:
    """The origin of each argument: that of its leaves where they agree, `several` where all are known, else unknown.

    `given` are the arguments that the proposal named; the others hold their declared default.
    """
    return {
        name: DEFAULT if given is not None and name not in given else _of(value, origins)
        for name, value in arguments.items()
    }


def _of(value: Any, origins: Origins) -> str:
    if not isinstance(value, (dict, list, tuple, Mapping)):
        return origins.known.get(normal(value) or "", UNKNOWN)
    found = {origins.known.get(normal(leaf) or "", UNKNOWN) for _, leaf in leaves(value)}
    if not found or UNKNOWN in found:
        return UNKNOWN
    return found.pop() if len(found) == 1 else SEVERAL
