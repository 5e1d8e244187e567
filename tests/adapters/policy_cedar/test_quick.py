"""The quick check of a context and the one in words are one check; what is remembered is what would be answered."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import cedarpy
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.adapters.policy_cedar.compiled import CedarCompiled
from flyball.adapters.policy_cedar.encode import Reads, Unencodable, context_json
from flyball.adapters.policy_cedar.quick import Quick
from flyball.adapters.policy_cedar.remembered import Remembered
from flyball.core.identity import Principal
from flyball.core.policy import Request, Uid
from tests.adapters.policy_cedar.desk import KIM, SENT, asking, compiled

KINDS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.sampled_from(["String", "Long", "Boolean", "Extension"]).map(lambda word: {"type": word}),
    lambda inner: st.one_of(
        inner.map(lambda kind: {"type": "Set", "element": kind}),
        st.dictionaries(st.sampled_from(["a", "b", "class", "to-whom"]), inner, max_size=3).map(
            lambda fields: {"type": "Record", "attributes": fields}
        ),
        inner.map(lambda kind: {**kind, "required": False}),
    ),
    max_leaves=4,
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.text(max_size=3), st.integers(-(2**63) - 1, 2**63), st.booleans(), st.none(), st.floats(),
        st.decimals(places=3, min_value=-9, max_value=9), st.just(Decimal("1.23456")), st.just(Uid("User", "kim")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "b", "class", "type", "__entity"]), inner)
    ),
    max_leaves=4,
)  # fmt: skip


def fitting(kind: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that mostly are of a kind."""
    word = kind["type"]
    if word == "Set":
        return st.lists(fitting(kind["element"]), max_size=2)
    if word == "Record":
        parts: dict[str, Any] = {n: fitting(k) for n, k in kind["attributes"].items()}
        return st.fixed_dictionaries(parts)
    plain: dict[str, Any] = {"String": st.text(max_size=3), "Long": st.integers(-9, 9), "Boolean": st.booleans()}
    return plain.get(word, st.decimals(places=3, min_value=-9, max_value=9))


@given(st.data(), KINDS, st.booleans())
def test_the_quick_check_passes_nothing_that_the_slow_one_refuses(
    data: st.DataObject, kind: Any, all_read: bool
) -> None:
    value = data.draw(st.one_of(VALUES, fitting(kind)))
    record = {"type": "Record", "attributes": {"x": kind}}
    declared = {"input": record, "approvals": {"type": "Set", "element": {"type": "String"}}, "other": kind}
    read = Reads(frozenset({"other"}), None if all_read else frozenset()).of(declared)
    context = {"input": {"x": value}, "other": value}
    quick = Quick(declared, read).text({**context, "approvals": ["finance"]})
    uid = Uid("User", "kim")
    asked = Request(
        principal=uid, action="a", resource=uid, context=context, entities=(), approvals=frozenset({"finance"})
    )
    if quick is not None:
        assert orjson.loads(quick) == orjson.loads(context_json(asked, declared, read))


def test_an_ordinary_context_needs_no_slow_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any) -> str:
        raise Unencodable("the slow check was asked")

    monkeypatch.setattr("flyball.adapters.policy_cedar.compiled.context_json", slow)
    assert compiled().evaluate(asking("send")).allow
    assert not compiled().evaluate(asking("send", SENT | {"discount": 1})).errors


SENDS = 'principal, action == Action::"send", resource'
OVER = f'@id("over") forbid ({SENDS}) when {{ context.input.discount > 10 || context.input.to like "*@evil.example" }};'


@cache
def over() -> CedarCompiled:
    return compiled(OVER)


QUESTIONS = st.tuples(
    st.sampled_from(["a@b.example", "a@evil.example"]),
    st.integers(9, 12),
    st.sampled_from([KIM, Principal("user:noor")]),
)


@given(st.lists(QUESTIONS, min_size=1, max_size=6))
def test_what_is_remembered_is_what_is_answered_afresh(asked: list[tuple[str, int, Principal]]) -> None:
    bundle = over()
    for to, discount, by in asked * 2:
        request = asking("send", SENT | {"to": to, "discount": discount}, by=by)
        for ask in (bundle.evaluate, bundle.evaluate_plain):
            found = ask(request)
            before, bundle._answers, bundle._known = (bundle._answers, bundle._known), Remembered(9), Remembered(9)
            assert ask(request) == found
            bundle._answers, bundle._known = before


def test_the_same_question_is_put_to_the_engine_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, request = compiled(), asking("send")
    first = bundle.evaluate(request)
    monkeypatch.setattr("flyball.adapters.policy_cedar.compiled.evaluate", None)
    assert bundle.evaluate(request) == first


def test_another_link_another_context_and_other_policies_are_other_questions() -> None:
    bundle, request = over(), asking("send", SENT | {"discount": 11})
    assert bundle.evaluate(request).determining == bundle.evaluate_plain(request).determining == ("project/over",)
    assert bundle.evaluate(asking("send", SENT | {"discount": 10})).allow


def test_policies_are_parsed_when_they_are_compiled_and_by_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, real, given = over(), cedarpy.is_authorized, list[Any]()

    def watched(request: Any, policies: Any, *rest: Any) -> Any:
        given.append(policies)
        return real(request, policies, *rest)

    monkeypatch.setattr(cedarpy, "is_authorized", watched)
    assert [bundle.evaluate(asking("send", SENT | {"discount": n})).errors for n in range(3)] == [()] * 3
    assert len(given) == 3 and isinstance(given[0], cedarpy.PolicySet) and all(each is given[0] for each in given)
