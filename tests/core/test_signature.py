"""What a function's signature says: a closed schema, parsed arguments, and marks wherever they stand."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
    TypeVar,
)

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.call import Call
from flyball.core.errors import FlyballError
from flyball.core.marks import Critical, Outgoing, Personal, Ref, Trusted
from flyball.core.signature import from_json, marked_fields, plain, schema_for, signature_of, to_json

if TYPE_CHECKING:
    from fractions import Fraction

T = TypeVar("T")


@dataclass
class Line:
    sku: Trusted[str]
    note: str = ""


@dataclass
class Order:
    id: Trusted[str]
    lines: list[Line]
    mail: Personal[str] = ""


@dataclass
class Late(Order):
    pass


@dataclass
class Page(Generic[T]):
    items: list[T]
    first: T
    next: str | None = None


@dataclass
class Tree:
    name: Trusted[str]
    kids: list[Tree] = field(default_factory=list)


class Wire(msgspec.Struct, rename="camel"):
    user_name: Personal[str]


class Flat(msgspec.Struct, array_like=True):
    id: Trusted[str]
    text: str


class Pair(NamedTuple):
    id: Trusted[str]
    text: str


class Options(TypedDict):
    id: NotRequired[Trusted[str]]
    text: str


class Modelled:
    """Has the methods that pydantic models have."""

    model_fields: ClassVar[dict[str, Any]] = {"cents": None}
    cents: Trusted[int]

    def __init__(self, cents: int) -> None:
        self.cents = cents

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        inner = {"type": "object", "properties": {"cents": {"type": "integer"}}}
        return {"type": "object", "properties": {"in": {"$ref": "#/$defs/Inner"}}, "$defs": {"Inner": inner}}

    @classmethod
    def model_validate(cls, value: Any) -> Modelled:
        if not isinstance(value, dict):
            raise ValueError("no object")
        return cls(value["cents"])

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"cents": self.cents}


class Colour(Enum):
    RED = "red"


Cents = NewType("Cents", Critical[int])


def refused(function: Callable[..., Any]) -> str:
    with pytest.raises(FlyballError) as caught:
        signature_of(function)
    return caught.value.code


def parsed(function: Callable[..., Any], **arguments: Any) -> Any:
    return from_json(arguments, signature_of(function).arguments)


# arguments ------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-call-is-first")
def test_arguments_are_a_closed_schema_without_the_call() -> None:
    def f(call: Call, a: int, b: str = "x", *, c: bool | None = None) -> str: ...

    read = signature_of(f)
    assert (read.names, read.positional, read.returns) == (("a", "b", "c"), ("a", "b"), str)
    assert (read.input_schema["required"], read.input_schema["additionalProperties"]) == (["a"], False)
    assert read.output_schema == {"type": "string"}


def test_what_is_missing_too_much_or_of_another_type_is_refused() -> None:
    def f(call: Call, a: int) -> None: ...

    for arguments in ({}, {"a": 1, "b": 2}, {"a": "1"}, {"a": None}, {"a": 1.5}):
        with pytest.raises(msgspec.ValidationError):
            parsed(f, **arguments)


def test_defaults_are_materialised_and_stand_in_the_schema() -> None:
    def f(call: Call, a: int = 1, b: list[str] = ["x"], c: Decimal = Decimal("0.5"), d: Line = Line("s")) -> None: ...  # noqa: B006

    assert to_json(parsed(f)) == {"a": 1, "b": ["x"], "c": "0.5", "d": {"sku": "s", "note": ""}}
    shown = {name: inner["default"] for name, inner in signature_of(f).input_schema["properties"].items()}
    assert shown == to_json(parsed(f))


def test_a_call_does_not_see_what_another_did_to_its_default() -> None:
    def f(call: Call, tags: list[str] = ["x"], line: Line = Line("s")) -> None: ...  # noqa: B006

    read = signature_of(f)
    one = from_json({}, read.arguments)
    one.tags.append("y")
    one.line.sku = "z"
    assert to_json(from_json({}, read.arguments)) == {"tags": ["x"], "line": {"sku": "s", "note": ""}}


def test_a_default_that_does_not_fit_is_refused_when_the_value_is_made() -> None:
    def text(call: Call, a: int = "x") -> None: ...  # type: ignore[assignment]
    def null(call: Call, a: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013
    def huge(call: Call, a: int = 10**30) -> None: ...
    def nan(call: Call, a: float = float("nan")) -> None: ...
    def thing(call: Call, a: Any = object) -> None: ...

    assert [refused(f) for f in (text, null, huge, nan, thing)] == ["bad_default"] * 5


def test_what_has_no_call_no_names_or_no_types_cannot_be_a_tool() -> None:
    def nothing() -> None: ...
    def forgotten(to: str, text: str) -> None: ...
    def only_named(*, call: Call) -> None: ...
    def rest(call: Call, *to: str) -> None: ...
    def named(call: Call, **to: str) -> None: ...
    def by_place(call: Call, to: str, /) -> None: ...
    def untyped(call: Call, to) -> None: ...  # type: ignore[no-untyped-def]

    wrong = (nothing, forgotten, only_named, rest, named, by_place, untyped, functools.partial(rest, None), Line)
    assert {refused(f) for f in wrong} == {"bad_signature"}


def test_a_type_that_is_not_there_at_run_time_is_named() -> None:
    def f(call: Call, share: Fraction) -> None: ...

    with pytest.raises(FlyballError, match="Fraction") as caught:
        signature_of(f)
    assert caught.value.code == "bad_annotation" and "TYPE_CHECKING" in caught.value.fix


def test_a_type_without_a_schema_is_refused() -> None:
    def number(call: Call, a: complex) -> None: ...
    def several(call: Call, a: Line | Order) -> None: ...

    assert [refused(f) for f in (number, several)] == ["bad_type", "bad_type"]


def test_the_digest_changes_with_the_schema_and_with_nothing_else() -> None:
    def f(call: Call, a: int) -> None: ...

    one, again = signature_of(f).digest, signature_of(f).digest

    def f(call: Call, a: int = 1) -> None: ...  # type: ignore[no-redef]

    assert one == again != signature_of(f).digest


# schemas --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [Any, None, type(None)])
def test_anything_and_nothing_have_an_empty_schema(kind: Any) -> None:
    assert schema_for(kind) == {}


def refers(node: Any) -> bool:
    if isinstance(node, dict):
        return "$ref" in node or "$defs" in node or any(refers(v) for v in node.values())
    return isinstance(node, list) and any(refers(v) for v in node)


@pytest.mark.parametrize(
    "kind", [Order, Page[Line], Options, Pair, Modelled, list[Modelled], Tree, Colour, Literal["a", 1]]
)
def test_a_schema_stands_by_itself(kind: Any) -> None:
    schema = schema_for(kind)
    assert schema and not refers(schema)


def test_a_recursive_type_stays_open_below_some_levels_and_is_still_checked() -> None:
    deep: Any = {"name": "x", "kids": [{"name": 1}]}
    for _ in range(8):
        deep = {"name": "x", "kids": [deep]}
    with pytest.raises(msgspec.ValidationError):
        from_json(deep, Tree)


# marks ----------------------------------------------------------------------------------------------------------------
def test_a_mark_counts_wherever_it_stands_in_an_argument() -> None:
    def f(
        call: Call, a: Critical[str], b: Critical[str] | None, c: list[Critical[str]], d: Cents, e: Outgoing[str],
        g: Annotated[str, Ref("Customer")] | None, h: str, i: Critical[Outgoing[str]],
    ) -> None: ...  # fmt: skip

    read = signature_of(f)
    assert read.critical == {"a", "b", "c", "d", "i"} and read.outgoing == {"e", "i"} and read.refs == {"g": "Customer"}


def test_an_argument_with_a_critical_field_is_critical() -> None:
    @dataclass
    class Payment:
        to: Critical[str]

    globals()["Payment"] = Payment

    def f(call: Call, one: "Payment", all: "Sequence[Payment]") -> None: ...  # noqa: UP037

    assert signature_of(f).critical == {"one", "all"}


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        (Trusted[str], {""}),
        (Order, {"/id", "/lines/*/sku"}),
        (Late, {"/id", "/lines/*/sku"}),
        (Trusted[Order], {""}),
        (list[Order] | None, {"/*/id", "/*/lines/*/sku"}),
        (Page[Line], {"/items/*/sku", "/first/sku"}),
        (Options, {"/id"}),
        (Modelled, {"/cents"}),
        (tuple[Trusted[str], ...], {"/*"}),
        (NewType("Id", Trusted[str]), {""}),
        (str, set()),
        (Any, set()),
        (dict[str, Order], set()),
        (Page, set()),
    ],
)
def test_trusted_fields_have_pointers(kind: Any, at: set[str]) -> None:
    assert marked_fields(kind, "trusted") == at


@pytest.mark.parametrize(
    "kind", [Trusted[str] | str, tuple[Trusted[str], str], Pair, Flat, Trusted[list[str]] | list[str]]
)
def test_a_place_that_also_holds_what_nobody_vouches_for_is_not_trusted(kind: Any) -> None:
    assert marked_fields(kind, "trusted") == frozenset()


def test_a_place_that_may_hold_something_personal_is_personal() -> None:
    assert marked_fields(tuple[Personal[str], str], "personal") == {"/*"}
    assert marked_fields(Order | None, "personal") == {"/mail"}
    assert marked_fields(Wire, "personal") == {"/userName"}


def test_a_recursive_type_is_trusted_as_deep_as_it_is_followed() -> None:
    assert {"/name", "/kids/*/name", "/kids/*/kids/*/name"} <= marked_fields(Tree, "trusted")


# values ---------------------------------------------------------------------------------------------------------------
@given(st.builds(Order, st.text(), st.lists(st.builds(Line, st.text(), st.text()), max_size=3), st.text()))
def test_a_value_is_read_back_from_its_data(order: Order) -> None:
    assert from_json(to_json(order), Order) == order


@pytest.mark.promise("gate-tool-gets-the-parsed-form")
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Decimal("1.10"), Decimal),
        (datetime(2026, 1, 2, tzinfo=UTC), datetime),
        (Colour.RED, Colour),
        ({1: "a"}, dict[int, str]),
        (None, None),
        (None, type(None)),
        ({"x": [1]}, Any),
        (Pair("a", "b"), Pair),
        (frozenset({"a"}), frozenset[str]),
    ],
)
def test_types_beyond_json_are_read_back(value: Any, kind: Any) -> None:
    assert from_json(to_json(value), kind) == value


@dataclass(frozen=True)
class Piece:
    sku: str
    count: int = 1
    note: str | None = None


@dataclass(slots=True)
class Slotted:
    sku: str
    count: int = 1
    note: str | None = None


class Box(msgspec.Struct):
    one: Piece


WHOLE = {"sku": "a", "count": 1, "note": None}


class Colour(StrEnum):
    RED = "red"


@pytest.mark.promise("gate-defaults-before-policy")
@pytest.mark.parametrize(
    ("data", "kind", "written"),
    [
        ({"sku": "a"}, Piece, WHOLE),
        ({"sku": "a"}, Slotted, WHOLE),
        ([{"sku": "a"}], list[Piece], [WHOLE]),
        ([{"sku": "a"}], tuple[Piece, ...], (WHOLE,)),
        ({"x": {"sku": "a"}}, dict[str, Piece], {"x": WHOLE}),
        ({"one": {"sku": "a"}}, Box, {"one": WHOLE}),
        ({"sku": "a", "count": 2}, Piece, {**WHOLE, "count": 2}),
        ("red", Colour, "red"),
    ],
)
def test_defaults_inside_an_argument_are_materialised_too(data: Any, kind: Any, written: Any) -> None:
    assert to_json(from_json(data, kind)) == written


def test_models_of_a_foreign_library_go_through_their_own_methods() -> None:
    assert to_json([Modelled(5)]) == [{"cents": 5}]
    assert from_json({"cents": 5}, Modelled).cents == 5
    with pytest.raises(msgspec.ValidationError, match="no object"):
        from_json([5], list[Modelled])


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(TypeError, match="is not data"):
        to_json(object())
    with pytest.raises(msgspec.ValidationError):
        from_json("x", complex)


def test_what_is_handed_in_plain_comes_back_as_a_record_would_keep_it() -> None:
    assert plain({"a": [1, None], "b": 1.5}) == {"a": [1, None], "b": 1.5}


@pytest.mark.parametrize(
    ("value", "code"),
    [(object(), "not_data"), (float("nan"), "invalid_json"), ("\ud800", "invalid_json"), ("x" * 20, "too_large")],
)
def test_what_a_record_would_not_give_back_is_refused(value: object, code: str) -> None:
    with pytest.raises(FlyballError) as refused:
        plain([value], max_bytes=10)
    assert refused.value.code == code


def test_a_value_without_end_is_refused() -> None:
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(FlyballError, match="cannot be recorded"):
        plain(ring)


def test_a_set_is_written_in_the_same_order_by_every_process() -> None:
    show = "from flyball.core.signature import to_json; print(to_json({'s': {'a', 'b', 'c', 'd'}}))"
    said = {
        subprocess.run(
            [sys.executable, "-c", show], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "123"
    }
    assert said == {b"{'s': ['a', 'b', 'c', 'd']}\n"}


def test_keys_of_several_types_are_written_all_the_same() -> None:
    assert to_json({1: "a", "b": 2}) == {"1": "a", "b": 2}
