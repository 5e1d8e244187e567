"""Canonical bytes: which values may be hashed and signed, how they are written, and what JSON from outside is let in.

Rules:

* The profile is a part of RFC 8785 on which every encoder agrees: text, true, false, null, integers with
  ``|n| < 2**53``, arrays, and objects whose keys are ASCII text. Floats, larger integers and other types are refused.
* One value has one spelling: ``encode(decode(raw)) == raw`` for everything that `decode` lets through.
* Foreign JSON (`parse_json`, `check_tree`) may hold floats, but no NaN or Infinity, no key twice, no key that begins
  with ``__``, no lone surrogate, and stays under limits of bytes, depth and items.
* A refusal names the place as a JSON pointer (RFC 6901) in ``data["pointer"]`` and never quotes a value.

>>> encode({"b": 1, "a": [True, None, "é"]}).decode()
'{"a":[true,null,"é"],"b":1}'
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
import orjson

from flyball.core.errors import FlyballError

MAX_DEPTH: Final = 64
MAX_BYTES: Final = 1_048_576
MAX_ITEMS: Final = 100_000
MAX_DECODE_BYTES: Final = 16 * 1_048_576
MAX_INTEGER: Final = 2**53 - 1

# orjson writes subclasses, dataclasses and dates unasked; passed through, they fail and are refused by name.
_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)


def _no_float(_: str) -> float:
    raise ValueError


R = TypeVar("R")

_PARSE: Final = msgspec.json.Decoder(float_hook=_no_float).decode
_MAX_DIGITS: Final = 16
# As many as the 4 300 digits that Python reads and prints.
_MOST_BITS: Final = 14_284
_DOUBT: Final = 1 << 62
_SCALARS: Final = frozenset({str, int, bool, type(None)})
# The closing quote is optional and nothing backtracks: an unterminated string is passed over in linear time.
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)

# The way from the root to a value, built while walking and spelt out only when something is refused.
_Path: TypeAlias = tuple[Any, ...]


class _Repeated(dict[str, object]):
    """An object that named one key twice; it lives only between parsing and checking."""

    key: str = ""


def encode(value: object) -> bytes:
    """The canonical bytes of a value (RFC 8785, restricted as above), at most `MAX_DEPTH` containers deep.

    Raises `FlyballError` ``not_canonical`` naming the JSON pointer. Bound foreign objects with `check_tree` first.
    """
    raw = _encoded(value, MAX_DEPTH)
    if raw is not None:
        return raw
    raise _not_canonical(*_fault(value, MAX_DEPTH))


def decode(raw: bytes, *, max_bytes: int = MAX_DECODE_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The value of canonical bytes; any other spelling of it (spaces, order, escapes, a key twice) is refused.

    ``max_depth`` may lower `MAX_DEPTH`, never raise it. Raises `FlyballError` ``not_canonical``, ``invalid_json``,
    ``too_large`` or ``too_deep``.
    """
    _check_size(len(raw), max_bytes)
    depth = min(max_depth, MAX_DEPTH)
    if raw.isascii() and raw.count(b"{") + raw.count(b"[") <= depth:
        # What is written again as it was has no other fault than these two: a float, which this parser refuses, and
        # depth or a key, which cannot be wrong here. Walking every value costs as much as all the rest.
        try:
            value = _PARSE(raw)
            if orjson.dumps(value, option=_OPTIONS) == raw:
                return value
        except (ValueError, TypeError):
            pass
    try:
        value = orjson.loads(raw)
        if _encoded(value, depth) == raw:
            return value
    except orjson.JSONDecodeError:
        pass
    # Slow on purpose: it runs once, to say what is wrong in words.
    raise _not_canonical(*_fault(_read(raw, depth), depth))


def record_reader(kind: type[R], plain: Callable[[R], object]) -> Callable[[bytes], R | None]:
    """Reads canonical bytes straight into records of one msgspec type, at half of what a value and its checks cost.

    ``plain`` gives the value that a record was read from. None where the bytes are no such record or not canonical, and
    where they are not ASCII or have more than `MAX_DEPTH` brackets: then `decode` says whether and what is wrong.
    """
    parse = msgspec.json.Decoder(kind, float_hook=_no_float).decode

    def read(raw: bytes) -> R | None:
        if not raw.isascii() or raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
            return None
        try:
            record = parse(raw)
            return record if orjson.dumps(plain(record), option=_OPTIONS) == raw else None
        except (ValueError, TypeError):
            return None

    return read


def parse_json(raw: bytes | str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The value of JSON that somebody else wrote: a model, a client, a file.

    ``max_bytes`` counts UTF-8 bytes, ``max_depth`` nested containers. Raises `FlyballError` with code
    ``invalid_json``, ``too_large`` or ``too_deep`` and ``data["pointer"]``; never `RecursionError`.
    """
    if isinstance(raw, str):
        # A lone surrogate becomes bytes that no decoder takes, and is refused where bad UTF-8 is.
        raw = raw.encode(errors="surrogatepass")
    _check_size(len(raw), max_bytes)
    value = _read(raw, max_depth)
    # Every value costs at least one byte of text, so the text's size already bounds the number of items.
    _check(value, max_bytes, max_depth, max_bytes)
    return value


def check_tree(
    value: object, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS
) -> None:
    """Refuse a value that is already parsed unless `parse_json` could have returned it (tuples count as arrays).

    ``max_bytes`` is compared with a lower bound of the JSON text's size: the UTF-8 bytes of all text and keys, the
    digits of integers, and one byte per value. ``max_items`` counts values. Raises as `parse_json` does.
    """
    _check(value, max_bytes, max_depth, max_items)


def _fits(value: Any, depth: int) -> bool:
    # The hot path: no pointers, no generators. Integer range, lone surrogates and key types are left to orjson.
    kind = type(value)
    if kind is dict:
        if not depth or not "".join(value).isascii():
            return False
        items = value.values()
    elif kind is list or kind is tuple:
        if not depth:
            return False
        items = value
    else:
        return kind in _SCALARS
    # One pass without calls: most of what a record holds are scalars.
    rest = [item for item in items if type(item) not in _SCALARS]
    for item in rest:  # noqa: SIM110 - a generator costs more than all the rest here
        if not _fits(item, depth - 1):
            return False
    return True


def _encoded(value: Any, depth: int) -> bytes | None:
    try:
        return orjson.dumps(value, option=_OPTIONS) if _fits(value, depth) else None
    except TypeError:
        return None


def _fault(value: Any, max_depth: int) -> tuple[str, str]:
    """Where and why a value has no canonical bytes; when the value has some, it was the spelling."""
    stack: list[tuple[Any, _Path, int]] = [(value, (), 0)]
    while stack:
        item, path, depth = stack.pop()
        why = _scalar_fault(item) or _container_fault(item, depth, max_depth)
        if why:
            return _pointer(path), why
        stack.extend((child, (path, key), depth + 1) for key, child in _children(item))
    return "", "keys out of order, spaces, or another spelling of a value"


def _scalar_fault(item: Any) -> str:
    kind = type(item)
    if kind is int:
        return "" if -MAX_INTEGER <= item <= MAX_INTEGER else "an integer of 2**53 or more; write it as text"
    if kind is float:
        return "a floating-point number; write an integer in a smaller unit, or text"
    if kind is str:
        return "" if _is_unicode(item) else "text with a lone surrogate"
    if kind in _SCALARS or kind in (dict, list, tuple):
        return ""
    if kind is _Repeated:
        return f"the key {item.key!r} stands twice"
    return f"a {kind.__name__} has no canonical form"


def _container_fault(item: Any, depth: int, max_depth: int) -> str:
    if type(item) in _SCALARS:
        return ""
    if depth >= max_depth:
        return f"nested deeper than {max_depth}"
    if type(item) is dict:
        for key in item:
            if type(key) is not str:
                return f"a key is a {type(key).__name__}, not text"
            if not key.isascii():
                return "a key is not ASCII"
    return ""


def _children(item: Any) -> Iterator[tuple[object, Any]]:
    if isinstance(item, dict):
        yield from item.items()
    elif isinstance(item, (list, tuple)):
        yield from enumerate(item)


def _check(value: Any, max_bytes: int, max_depth: int, max_items: int) -> None:
    room = min(max_bytes, max_items, _DOUBT - 1)
    try:
        # Below the interpreter's own limit the quick look is recursive; what it does not pass is walked with care.
        if max_depth <= MAX_DEPTH and _plain_weight(value, max_depth, room) <= room:
            return
    except (TypeError, UnicodeEncodeError):
        pass
    _walk(value, max_bytes, max_depth, max_items)


def _plain_weight(value: Any, depth: int, room: int) -> int:
    # The hot path of foreign values: no less than their weight and their number, and `_DOUBT` for anything unusual.
    # It stops once there is no room left, so shared branches cannot unfold without end.
    kind = type(value)
    total = 1
    if not depth:
        return _DOUBT
    if kind is dict:
        keys = "".join(value)
        if not keys.isascii() or "__" in keys:
            return _DOUBT
        total += len(keys)
        items = value.values()
    elif kind is list or kind is tuple:
        items = value
    else:
        return _DOUBT
    for item in items:
        kind = type(item)
        if kind is str:
            total += 1 + (len(item) if item.isascii() else len(item.encode()))
        elif kind is bool or item is None or (kind is float and math.isfinite(item)):
            total += 1
        elif kind is int and -MAX_INTEGER <= item <= MAX_INTEGER:
            total += _MAX_DIGITS
        else:
            total += _plain_weight(item, depth - 1, room - total)
            if total > room:
                return total
    return total


def _walk(value: Any, max_bytes: int, max_depth: int, max_items: int) -> None:
    # Iterative, and every container is counted before it is entered: cycles and shared branches end at a limit.
    stack: list[tuple[Any, _Path, int]] = [(value, (), 0)]
    items, size = 1, 0
    while stack:
        item, path, depth = stack.pop()
        size += _weight(item, path)
        if isinstance(item, (dict, list, tuple)):
            if depth >= max_depth:
                raise _too_deep(_pointer(path), max_depth)
            items += len(item)
            if items > max_items:
                raise _too_large(f"more than {max_items} values", max_items, _pointer(path))
            if isinstance(item, dict):
                size += _key_weight(item, path)
            stack.extend((child, (path, key), depth + 1) for key, child in _children(item))
        if size > max_bytes:
            raise _too_large(f"more than {max_bytes} bytes", max_bytes, _pointer(path))


def _weight(item: Any, path: _Path) -> int:
    if isinstance(item, str):
        return _utf8_length(item, path) + 1
    if item is None or isinstance(item, bool):
        return 1
    if isinstance(item, int):
        # A lower bound of its digits, because Python refuses to print integers of thousands of them.
        if item.bit_length() > _MOST_BITS:
            raise _invalid(_pointer(path), "an integer has thousands of digits")
        return (item.bit_length() - 1) * 3 // 10 + 1
    if isinstance(item, float):
        if not math.isfinite(item):
            raise _invalid(_pointer(path), "NaN and Infinity are not JSON")
        return 1
    if isinstance(item, (dict, list, tuple)):
        return 1
    raise _invalid(_pointer(path), f"a {type(item).__name__} is not JSON")


def _key_weight(item: dict[Any, Any], path: _Path) -> int:
    if isinstance(item, _Repeated):
        raise _invalid(_pointer((path, item.key)), "the key stands twice")
    size = 0
    for key in item:
        if not isinstance(key, str):
            raise _invalid(_pointer(path), f"a key is a {type(key).__name__}, not text")
        if key.startswith("__"):
            raise _invalid(_pointer((path, key)), "a key begins with two underscores")
        size += _utf8_length(key, path)
    return size


def _utf8_length(text: str, path: _Path) -> int:
    if text.isascii():
        return len(text)
    if not _is_unicode(text):
        raise _invalid(_pointer(path), "text with a lone surrogate")
    return len(text.encode())


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(octets: bytes, max_depth: int) -> Any:
    if _text_is_deeper(octets, max_depth):
        raise _too_deep("", max_depth)
    try:
        return json.loads(octets.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise _invalid("", "it is not valid UTF-8") from None
    except json.JSONDecodeError as bad:
        raise _invalid("", str(bad)) from None
    except ValueError:
        raise _invalid("", "an integer has thousands of digits") from None
    except RecursionError:
        raise _too_deep("", max_depth) from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    counts = Counter(key for key, _ in pairs)
    repeated = _Repeated(members)
    repeated.key = next(key for key, count in counts.items() if count > 1)
    return repeated


def _text_is_deeper(octets: bytes, max_depth: int) -> bool:
    if octets.count(b"[") + octets.count(b"{") <= max_depth:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(octets):
        first = octets[token.start()]
        if first in b"[{":
            depth += 1
            if depth > max_depth:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _pointer(path: _Path) -> str:
    keys: list[str] = []
    while path:
        path, key = path
        keys.append("/" + _shown(str(key)).replace("~", "~0").replace("/", "~1"))
    return "".join(reversed(keys))


def _shown(key: str) -> str:
    # A key comes from outside: it must neither flood a message nor break a terminal or an encoder.
    short = key if len(key) <= 64 else key[:63] + "…"
    return "".join(char if char.isprintable() else "�" for char in short)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise _too_large(f"{size} bytes, at most {max_bytes} are read", max_bytes, "")


def _refused(code: str, what: str, pointer: str, why: str, fix: str, **facts: object) -> FlyballError:
    place = f"{why} (at {pointer})" if pointer else why
    return FlyballError(code, what, place, fix, {"pointer": pointer, **facts})


def _not_canonical(pointer: str, why: str) -> FlyballError:
    fix = "Use text, booleans, null, integers below 2**53, arrays, and objects with ASCII keys"
    return _refused("not_canonical", "the value has no canonical form", pointer, why, fix)


def _invalid(pointer: str, why: str) -> FlyballError:
    fix = "Send one JSON value (RFC 8259) in UTF-8"
    return _refused("invalid_json", "the JSON is refused", pointer, why, fix)


def _too_deep(pointer: str, limit: int) -> FlyballError:
    why = f"more than {limit} levels"
    return _refused("too_deep", "the JSON is nested too deeply", pointer, why, "Send a flatter value", limit=limit)


def _too_large(why: str, limit: int, pointer: str) -> FlyballError:
    fix = "Send less, or raise the limit in the configuration"
    return _refused("too_large", "the JSON is too large", pointer, why, fix, limit=limit)
