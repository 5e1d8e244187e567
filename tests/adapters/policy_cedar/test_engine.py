from __future__ import annotations

import hashlib
import statistics
import time
import tomllib

import msgspec
import orjson
import pytest

from flyball.adapters.policy_cedar import child
from flyball.adapters.policy_cedar.bundles import MAX_CONTENT
from flyball.adapters.policy_cedar.compiled import CedarCompiled
from flyball.adapters.policy_cedar.draft import draft
from flyball.adapters.policy_cedar.engine import CedarEngine
from flyball.core.decision import decide
from flyball.core.effect import Action, precondition_of
from flyball.core.identity import Authority
from flyball.core.input_shape import input_shape, seen
from flyball.core.policy import Answer, Bundle, Node, PolicyError, Request, Uid
from flyball.core.policy_context import policy_context
from flyball.core.policy_subject import chain, merged, principal_nodes
from tests.adapters.policy_cedar.desk import (
    ACTIONS,
    ENTITIES,
    KIM,
    SAVED,
    SENT,
    asking,
    compiled,
    customer,
    refused,
    with_context,
)

BUILT_IN = {
    "model": ("Model", {"vendor": "v"}, "read"),
    "agent": ("Agent", {}, "agent"),
    "flow": ("Flow", {}, "flow"),
}


def built_in(word: str, resource: Node, *more: Node) -> Request:
    kind = "policy" if word == "activate" else word
    action = Action(name="x", kind=kind, effect="read")  # type: ignore[arg-type]
    shape = input_shape(action)
    assert shape.action == word
    nodes = merged(principal_nodes(KIM), (resource, *more))
    context = policy_context(shape, seen(action, {}))
    return Request(principal=nodes[0].uid, action=word, resource=resource.uid, context=context, entities=nodes)


@pytest.mark.promise("gate-every-action", "gate-built-in-permits")
@pytest.mark.parametrize("word", ["agent", "flow"])
def test_declared_agents_and_flows_may_be_started_without_a_policy(word: str) -> None:
    asked = built_in(word, Node(uid=Uid(word.title(), "x")))
    assert compiled(permit=False).evaluate(asked).determining == ("project/flyball.start",)
    forbid = f'@id("no") forbid (principal, action == Action::"{word}", resource == {word.title()}::"x");'
    assert compiled(forbid).evaluate(asked).determining == ("project/no",)


@pytest.mark.promise("gate-every-action", "gate-default-deny")
def test_a_model_call_is_a_read_that_needs_a_permit() -> None:
    asked = built_in("model", Node(uid=Uid("Model", "gpt"), attrs={"vendor": "v", "region": "eu"}))
    assert not compiled(permit=False).evaluate(asked).allow
    assert (
        compiled('@id("r") permit (principal, action in Action::"read", resource);', permit=False).evaluate(asked).allow
    )


@pytest.mark.promise("gate-built-in-permits")
@pytest.mark.parametrize(("group", "allowed"), [("staff", True), ("finance", False)])
def test_a_member_of_the_group_may_approve(group: str, allowed: bool) -> None:
    asked = built_in(
        "approve", Node(uid=Uid("Approval", "a"), attrs={"group": Uid("Group", group)}), Node(uid=Uid("Group", group))
    )
    assert compiled(permit=False).evaluate(asked).allow is allowed


def test_only_an_admin_may_activate() -> None:
    assert not compiled(permit=False).evaluate(built_in("activate", Node(uid=Uid("Bundle", "b")))).allow


@pytest.mark.promise("gate-every-link-must-allow")
def test_every_link_of_a_chain_can_be_asked() -> None:
    bundle = compiled('@id("no") forbid (principal in Role::"planner", action in Action::"irreversible", resource);')
    person, planner, sender = chain(Authority(principal=KIM).through("clerk", "planner").through("sender", "executor"))
    asked = asking("send")
    answers = [
        bundle.evaluate(msgspec.structs.replace(asked, principal=nodes[0].uid, entities=merged(nodes, asked.entities)))
        for nodes in (person, planner, sender)
    ]
    assert [a.allow for a in answers] == [True, False, True]


@pytest.mark.promise("gate-resource-is-the-business-object")
def test_relations_between_entities_can_be_asked() -> None:
    bundle = compiled(
        """@id("own") permit (principal, action == Action::"look", resource)
        when { resource has owner && resource.owner == principal && resource.limit.greaterThan(decimal("9.5")) };""",
        permit=False,
    )
    looked = {"customer": "c1", "deep": False}
    assert bundle.evaluate(asking("look", looked, nodes=(customer(owner=Uid("User", "kim"), marks=["a"]),))).allow
    assert not bundle.evaluate(asking("look", looked, nodes=(customer(owner=Uid("User", "eve")),))).allow


@pytest.mark.parametrize(
    "attrs",
    [
        {"limit": 0.00001},
        {"limit": "x"},
        {"tier": 1},
        {"owner": "kim"},
        {"owner": Uid("Group", "a")},
        {"marks": "a"},
        {"tier": None},
    ],
)
def test_attributes_of_another_type_are_refused(attrs: dict[str, object]) -> None:
    answer = compiled().evaluate(asking("look", {"customer": "c1", "deep": False}, nodes=(customer(**attrs),)))
    assert not answer.allow and "Customer::c1" in answer.errors[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"input": {**SENT}},
        {"input": "x"},
        {"time": {}},
        {"egress": 1},
        {"nulls": "a"},
        {"nulls": [1]},
        {"release": None},
        {"time": {"now": 2**63, "hour": 0, "weekday": 1}},
        {"run": []},
        {"extra": 1},
    ],
)
def test_a_context_of_another_shape_is_refused(changed: dict[str, object]) -> None:
    answer = compiled().evaluate(with_context(asking("send"), **changed))
    assert not answer.allow and answer.errors[0].startswith("request_invalid: context")


def test_odd_entities_are_refused() -> None:
    asked = asking("send")
    for odd in (
        Node(uid=Uid("Planet", "x")),
        asked.entities[0],
        Node(uid=Uid("Group", "g"), parents=(Uid("Tool", "send"),)),
    ):
        answer = compiled().evaluate(msgspec.structs.replace(asked, entities=(*asked.entities, odd)))
        assert not answer.allow and answer.errors


def test_entities_that_were_parsed_once_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyball.adapters.policy_cedar.compiled.REMEMBERED", 3)
    bundle = compiled()
    for n in range(5):
        assert bundle.evaluate(asking("look", {"customer": f"c{n}", "deep": False}, nodes=(customer(f"c{n}"),))).allow
    assert len(bundle._entities) == 3


def test_the_schema_is_readable_and_cedar_reads_it_again() -> None:
    text = CedarEngine().schema(list(ACTIONS.values()), ENTITIES)
    assert 'action "send" in [Action::"irreversible"]' in text and "to_domains: Set<String>" in text
    assert child.check({}, text).faults == ()


@pytest.mark.parametrize(
    ("entities", "said"),
    [
        ({"User": {}}, "cannot be called User"),
        ({"customer": {}}, "cannot be called"),
        ({"Customer": {"a": "text"}}, "no attribute type"),
        ({"Customer": {"a": 5}}, "no attribute type"),
        ({"Customer": {"a": "entity:Planet"}}, "no attribute type"),
        ({"Customer": {"a": "planet[]"}}, "no attribute type"),
        ({}, "Customer, which is no entity"),
    ],
)
def test_entities_that_cannot_be_declared_are_refused(entities: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        CedarEngine().schema(list(ACTIONS.values()), entities)


def test_attributes_may_be_declared_by_json_schema() -> None:
    declared = {"address": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
    text = CedarEngine().schema([], {"Shop": {**declared, "open?": "boolean", "links": "entity:Shop[]"}})
    assert "city: String" in text and "open?: Bool" in text and "links: Set<Shop>" in text.replace("entity:", "")


# Bundles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"flyball":2,"engine":"cedar"}', b'{"flyball":1,"engine":"rego"}', b" " * (MAX_CONTENT + 1)],
)
def test_content_that_is_no_bundle_is_refused(content: bytes) -> None:
    bundle = Bundle(
        layer="project", name="n", digest=hashlib.sha256(content).hexdigest(), content=content, ids=(), cures={}
    )
    with pytest.raises(PolicyError):
        CedarEngine().load(bundle)


def rewritten(**changed: object) -> Bundle:
    whole = orjson.loads(compiled().bundle.content)
    content = orjson.dumps({**whole, **changed}, option=orjson.OPT_SORT_KEYS)
    return Bundle(
        layer="project", name="n", digest=hashlib.sha256(content).hexdigest(), content=content, ids=(), cures={}
    )


def test_a_bundle_with_a_policy_of_bad_shape_is_refused() -> None:
    whole = orjson.loads(compiled().bundle.content)
    est = whole["policies"]["all"]
    deep: object = {"Value": True}
    for _ in range(80):
        deep = {"!": {"arg": deep}}
    for bad in (
        {"other": est},
        {"all": {**est, "annotations": {}}},
        {"all": {**est, "conditions": [{"kind": "when", "body": deep}]}},
    ):
        with pytest.raises(PolicyError):
            CedarEngine().load(rewritten(policies=bad))
    with pytest.raises(PolicyError):
        CedarEngine().load(rewritten(layer="nowhere"))


# The child ----------------------------------------------------------------------------------------------------------


@pytest.mark.promise("gate-trap-deep-nesting")
def test_too_much_text_is_refused_before_a_child_is_started() -> None:
    with pytest.raises(PolicyError, match="at most 1048576"):
        child.check({"a": "x" * (child.MAX_TEXT + 1)})


def test_a_child_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    with pytest.raises(PolicyError, match=r"the policy compiler failed: .*schema"):
        child.check({"a": "permit (principal, action, resource);"}, "entity;")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("// only a comment", []),
        ('\n\n@id("a")\npermit (principal, action, resource);', [3]),
        (
            'permit (principal, action, resource) when { ";\\"" == "//" }; //;\npermit (principal, action, resource);',
            [1, 2],
        ),
    ],
)
def test_every_policy_has_its_line(text: str, lines: list[int]) -> None:
    checked = child.check({"a": text})
    assert [p.line for p in checked.policies] == lines and not checked.faults


@pytest.mark.parametrize(
    "text", ['permit (principal, action, resource) when { "', "permit", ";", ")];", "// x\n permit ("]
)
def test_text_that_ends_too_early_is_a_finding(text: str) -> None:
    assert "syntax" in str(refused(text)[0])


# Drafts -------------------------------------------------------------------------------------------------------------


@pytest.mark.promise("api-policy-drafts")
@pytest.mark.parametrize("name", list(ACTIONS))
def test_a_draft_compiles_and_its_case_comes_out_as_it_says(name: str) -> None:
    action = ACTIONS[name]
    policy, case = draft(action)
    read = tomllib.loads(case)["case"][0]
    bundle = compiled(policy, permit=False)
    nodes = (customer("x"),) if name == "look" else ()
    arguments = {
        **({"discount": 0, "body": ""} if name == "send" else {} if name == "look" else SAVED),
        **read["input"],
    }
    request = asking(name, arguments | ({"deep": False} if name == "look" else {}), nodes=nodes)

    def ask(_: object, approvals: object, plain: bool) -> tuple[object, ...]:
        held = approvals.get("project", frozenset())  # type: ignore[attr-defined]
        asked = msgspec.structs.replace(request, approvals=held)
        return (bundle.evaluate_plain(asked) if plain else bundle.evaluate(asked),)

    found = decide({}, ask, {f"project/{i}": c for i, c in bundle.bundle.cures.items()})  # type: ignore[arg-type]
    assert found.outcome == read["expect"] and list(found.groups) == read.get("groups", [])


def test_a_draft_permits_the_precondition_with_the_tool() -> None:
    action = ACTIONS["save"]
    policy, _ = draft(action, precondition_of(action))
    assert 'action in [Action::"save", Action::"save.requires"]' in policy


# Speed --------------------------------------------------------------------------------------------------------------


def _median_us(policies: int) -> float:
    rules = (
        f'@id("f{n}") forbid (principal in Group::"g{n}", action in Action::"read", resource);' for n in range(policies)
    )
    bundle, request = compiled(*rules), asking("send")
    times = []
    for _ in range(300):
        before = time.perf_counter()
        assert bundle.evaluate(request).allow
        times.append(time.perf_counter() - before)
    return statistics.median(times) * 1e6


def test_a_thousand_policies_of_other_actions_cost_no_more_than_ten() -> None:
    # Shared machines are slow in turns: the best of three comparisons.
    assert any(_median_us(1000) < 2 * _median_us(10) for _ in range(3))


def test_the_gate_does_not_open_where_everything_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CedarCompiled, "evaluate", lambda self, request: Answer(allow=False))
    with pytest.raises(PolicyError, match="a request that nothing forbids"):
        CedarEngine()
