"""What one evaluation reads besides its entities: arguments in the form policy sees, and neutral facts around them.

Rules:

* Nothing is rounded, guessed or dropped in silence: a number with more than four decimal places, an integer beyond 63
  bits, an undeclared member, a `__` key, more than 1 000 members or 64 KiB refuse the call and name the argument.
* Null is omitted and named in `context.nulls`; what policy cannot see into is named in `context.opaque`.
* Text over 8 KiB goes as `sha256:<hex>:<characters>` and is named in `context.digested`, so that no policy compares a
  part of it unawares. `context.length` has the length of every text argument in characters.
* `context.approvals` is not here: the request carries it, per layer.
* A fact whose source is not there has a neutral value, so that policies need not change later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.guard import Signal
from flyball.core.input_shape import InputShape, Shape
from flyball.core.recipients import addresses, domains, host
from flyball.core.signals import number

MAX_ITEMS: Final = 1_000
MAX_CONTEXT: Final = 65_536
MAX_TEXT: Final = 8_192
SHORT: Final = 256
UNLIMITED: Final = 2**53 - 1
LEFT: Final = ("steps", "calls", "effects", "tokens", "usd")
# A host that can never exist (RFC 2606): what does not parse is in nobody's list of allowed ones.
UNPARSED: Final = "invalid"

_LARGEST: Final = Decimal("922337203685477.5807")
_DAY_MS: Final = 86_400_000


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known around a proposal. `origin`: argument -> where it came from; `left`: what of each budget remains
    (`usd` in micro-dollars), what is not named has no limit; `did`, `denied`: actions of this run, sorted, so that a
    record of them is always the same bytes; `now`: milliseconds since 1970, UTC; `guard`: what guards said;
    `signals`: the latest value of each signal of the run, in ten-thousandths. Written
    without what is neutral."""

    origin: Mapping[str, str] = {}
    left: Mapping[str, int] = {}
    did: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    tainted: bool = False
    brake: str = "none"
    release: str = ""
    env: str = ""
    now: int = 0
    guard: Mapping[str, Signal] = {}
    signals: Mapping[str, int] = {}


def policy_context(shape: InputShape, arguments: Mapping[str, Any], facts: Facts = Facts()) -> dict[str, Any]:
    """The whole context of a request but its approvals; raises FlyballError `policy_input` naming the argument."""
    encoder = _Encoder(shape.action)
    record = encoder.record(shape.record, arguments, "")
    for name, field in shape.record.fields.items():
        if field.derived and arguments.get(name) is not None:
            record.update(encoder.derived(name, field, arguments[name]))
    hours = facts.now // 3_600_000
    context = {
        "input": record,
        "length": {n: len(v) for n, v in arguments.items() if isinstance(v, str) and n in record},
        "nulls": encoder.nulls, "opaque": encoder.opaque, "digested": encoder.digested,
        "origin": {name: facts.origin.get(name, "unknown") for name in shape.record.fields},
        "kind": shape.kind, "effect": shape.effect, "egress": shape.egress, "risk": shape.risk,
        "budget": {"left": {name: min(facts.left.get(name, UNLIMITED), UNLIMITED) for name in LEFT}},
        "history": {},
        "run": {
            "did": list(facts.did), "denied": list(facts.denied), "tainted": facts.tainted, "brake": facts.brake,
            "signals": {name: number(amount) for name, amount in facts.signals.items()},
        },
        "release": facts.release, "env": facts.env,
        "time": {"now": facts.now, "hour": hours % 24, "weekday": (facts.now // _DAY_MS + 3) % 7 + 1},
    }  # fmt: skip
    if facts.guard:
        context["guard"] = {name: {"score": s.score, "verdict": s.verdict} for name, s in facts.guard.items()}
    return context


def exact_decimal(value: Any) -> Decimal:
    """A number as a decimal of at most four places; raises ValueError where that would not be exact or not fit."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError("it is not a number")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise ValueError("it is not a number") from None
    if not number.is_finite():
        raise ValueError("it is not a finite number")
    if abs(number) > _LARGEST:
        raise ValueError("it is larger than a decimal can be")
    # Not quantize(): that rounds.
    if int(number.as_tuple().exponent) < -4 and number.normalize().as_tuple().exponent < -4:  # type: ignore[operator]
        raise ValueError("it has more than four decimal places")
    return number


Addressed = tuple[frozenset[str] | None, frozenset[str | None]]


def _read(text: str, kind: str | None) -> Addressed:
    parsed = addresses(text) if kind == "addresses" else None
    return parsed, frozenset(domains(parsed)) if parsed else frozenset({host(text)} if kind == "url" else ())


_addressed = lru_cache(maxsize=1024)(_read)  # the same few people and hosts are addressed again and again


class _Encoder:
    """One walk over one set of arguments; collects what is null, opaque and digested, and how much there is."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.nulls: list[str] = []
        self.opaque: list[str] = []
        self.digested: list[str] = []
        self.size = 0

    def value(self, shape: Shape, value: Any, at: str) -> Any:
        if shape.kind == "text":
            return self.text(value, at)
        if shape.kind == "record":
            return self.record(shape, value, f"{at}/")
        if shape.kind == "many" and shape.item is not None:
            return self.many(shape.item, value, at)
        self.grow(8, at)
        if shape.kind == "number":
            return self.number(value, at)
        if shape.kind == "flag":
            return value if isinstance(value, bool) else self.refuse(at, "it is not true or false")
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(at, "it is not a whole number")
        return value if -(2**63) <= value < 2**63 else self.refuse(at, "it does not fit into 64 bits")

    def text(self, value: Any, at: str) -> str:
        if not isinstance(value, str):
            self.refuse(at, "it is not text")
        raw = value.encode(errors="surrogatepass")
        if len(raw) > MAX_TEXT:
            self.digested.append(at)
            digested = f"sha256:{hashlib.sha256(raw).hexdigest()}:{len(value)}"
            self.grow(len(digested), at)
            return digested
        self.grow(len(raw) + 2, at)
        return value

    def number(self, value: Any, at: str) -> Decimal:
        try:
            return exact_decimal(value)
        except ValueError as bad:
            self.refuse(at, str(bad))

    def many(self, item: Shape, values: Any, at: str) -> list[Any]:
        if not isinstance(values, (list, tuple)):
            self.refuse(at, "it is not a list")
        self.count(values, at)
        if any(v is None for v in values):
            self.nulls.append(f"{at}/*")
        return [self.value(item, v, f"{at}/{n}") for n, v in enumerate(values) if v is not None]

    def record(self, shape: Shape, members: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(members, Mapping):
            self.refuse(prefix.rstrip("/"), "it is not an object")
        self.count(members, prefix.rstrip("/"))
        encoded: dict[str, Any] = {}
        for name, value in members.items():
            at = f"{prefix}{name}"
            field = shape.fields.get(name)
            if field is None or not isinstance(name, str) or name.startswith("__"):
                self.refuse(at, "no such argument is declared")
            elif value is None:
                self.nulls.append(at)
            elif field.kind == "opaque":
                self.opaque.append(at)
            else:
                self.grow(len(name), at)
                encoded[name] = self.value(field, value, at)
        return encoded

    def derived(self, name: str, shape: Shape, value: Any) -> dict[str, list[str]]:
        texts = value if isinstance(value, (list, tuple)) else (value,)
        found: set[str] = set()
        hosts: set[str] = set()
        for text in (t for t in texts if t is not None):
            parsed, there = _addressed(text, shape.derived) if len(text) <= SHORT else _read(text, shape.derived)
            if not there or None in there:
                if shape.strict:
                    self.refuse(name, "it is no list of addresses" if shape.derived == "addresses" else "it is no URL")
                parsed, there = frozenset({text[:256].lower()}), frozenset({UNPARSED})
            found |= parsed or frozenset()
            hosts |= {h for h in there if h}
        for word in (*found, *hosts):
            self.grow(len(word), name)
        self.count(found, name)
        sets = {f"{name}_domains": sorted(hosts)}
        return {f"{name}_addresses": sorted(found), **sets} if shape.derived == "addresses" else sets

    def count(self, members: Any, at: str) -> None:
        if len(members) > MAX_ITEMS:
            self.refuse(at or "input", f"it has more than {MAX_ITEMS} members")

    def grow(self, by: int, at: str) -> None:
        self.size += by
        if self.size > MAX_CONTEXT:
            self.refuse(at, f"policy reads at most {MAX_CONTEXT} bytes of arguments")

    def refuse(self, at: str, why: str) -> NoReturn:
        shown = at[:120]
        raise FlyballError(
            "policy_input", f"{self.action}: the argument {shown} is refused", why, data={"argument": shown}
        )
