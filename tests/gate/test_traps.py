"""Each trap of GATE section 3: what goes wrong with the bare engine, where that can be shown, and not with ours."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import cedarpy
import msgspec
import orjson
import pytest

from flyball.adapters.policy_cedar import canary, child, slices
from flyball.adapters.policy_cedar.engine import CedarEngine
from flyball.adapters.policy_starter import starter
from flyball.core.canonical import parse_json
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.input_shape import input_shape
from flyball.core.policy import Node, PolicyError, Source, Uid
from flyball.core.policy_context import policy_context
from tests.adapters.policy_cedar.desk import (
    ACTIONS,
    ENTITIES,
    PERMIT,
    SAVED,
    SENT,
    asking,
    compiled,
    customer,
    refused,
    with_approvals,
    with_context,
)

LOOKED = {"customer": "c1", "deep": False}
OVERFLOW = """@id("limit") forbid (principal, action == Action::"save", resource)
when { context.input.amount * 9223372036854775807 > 4 };"""


def bare(policies: str, context: dict[str, Any], schema: Any = None, entities: Any = "[]") -> Any:
    """The same question to Cedar itself."""
    request = {"principal": 'User::"kim"', "action": 'Action::"save"', "resource": 'Tool::"save"', "context": context}
    return cedarpy.is_authorized(request, policies, entities, schema)


# A policy that errors -----------------------------------------------------------------------------------------------


@pytest.mark.promise("gate-trap-skipped-error")
def test_cedar_allows_past_a_forbid_that_errors_and_we_deny() -> None:
    assert bare(PERMIT + OVERFLOW, {"input": {"amount": 2}}).allowed
    answer = compiled(OVERFLOW).evaluate(asking("save", {**SAVED, "amount": 2}))
    assert not answer.allow and "overflow" in answer.errors[0]


@pytest.mark.promise("gate-trap-skipped-error")
def test_an_approval_does_not_hide_an_error() -> None:
    lifted = OVERFLOW.replace('@id("limit")', '@id("limit") @require_approval("finance")').replace(
        "when {", 'unless { context.approvals.contains("finance") } when {'
    )
    answer = compiled(lifted).evaluate(with_approvals(asking("save", {**SAVED, "amount": 2}), "finance"))
    assert not answer.allow and answer.errors


# Entities -----------------------------------------------------------------------------------------------------------


@pytest.mark.promise("gate-trap-schema")
def test_without_the_schema_cedar_knows_no_action_groups_and_we_do() -> None:
    forbid = '@id("f") forbid (principal, action in Action::"reversible", resource);'
    assert bare(PERMIT + forbid, {}).allowed
    assert compiled(forbid).evaluate(asking("save", SAVED)).determining == ("project/f",)


@pytest.mark.promise("gate-trap-entity-unresolved")
def test_with_a_missing_ancestor_a_hierarchy_forbid_would_be_silent_and_we_refuse() -> None:
    forbid = '@id("f") forbid (principal, action, resource in Region::"north");'
    north = Node(uid=Uid("Region", "north"))
    good = asking("look", LOOKED, nodes=(customer("c1", north.uid), north))
    assert compiled(forbid).evaluate(good).determining == ("project/f",)
    lost = asking("look", LOOKED, nodes=(customer("c1", north.uid),))
    assert compiled(forbid).evaluate(lost).errors == ("entity_unresolved: Region::north",)


@pytest.mark.promise("gate-trap-entity-unresolved")
@pytest.mark.parametrize("gone", ["User", "Customer", "Group", "Tenant"])
def test_an_entity_that_is_not_in_the_slice_is_unresolved(gone: str) -> None:
    asked = asking("look", LOOKED, nodes=(customer(),))
    rest = tuple(node for node in asked.entities if node.uid.type != gone)
    answer = compiled().evaluate(msgspec.structs.replace(asked, entities=rest))
    assert not answer.allow and answer.errors[0].startswith(f"entity_unresolved: {gone}")


@pytest.mark.promise("gate-trap-undeclared-attributes")
def test_an_undeclared_attribute_of_an_entity_is_refused_not_dropped() -> None:
    answer = compiled().evaluate(asking("look", LOOKED, nodes=(customer("c1", secret="x"),)))
    assert not answer.allow and "Customer::c1.secret is not declared" in answer.errors[0]


@pytest.mark.promise("gate-trap-undeclared-attributes")
def test_an_undeclared_attribute_in_a_policy_is_refused() -> None:
    found = refused('@id("f") forbid (principal, action == Action::"look", resource) when { resource.teir == "gold" };')
    assert str(found[0]) == (
        "desk.cedar:1 f: Customer has no attribute teir (tier, limit, owner, marks). Did you mean tier?"
    )


# Slices -------------------------------------------------------------------------------------------------------------


@pytest.mark.promise("gate-trap-slices")
@pytest.mark.parametrize(
    "scope",
    [
        "action",
        'action in Action::"reversible"',
        'action == Action::"save"',
        'action in [Action::"look", Action::"save"]',
    ],
)
def test_no_slice_loses_a_policy_that_could_match(scope: str) -> None:
    answer = compiled(f'@id("f") forbid (principal, {scope}, resource);').evaluate(asking("save", SAVED))
    assert answer.determining == ("project/f",)


@pytest.mark.promise("gate-trap-slices")
def test_a_template_is_refused_so_that_no_link_can_be_lost() -> None:
    found = refused('@id("t") permit (principal == ?principal, action, resource);')
    assert "templates" in found[0].what


def test_other_actions_policies_are_not_in_the_slice() -> None:
    bundle = compiled(*(f'@id("f{n}") forbid (principal, action == Action::"send", resource);' for n in range(20)))
    assert len(bundle._slices["send"].full.policies) == len(bundle._slices["save"].full.policies) + 20


# Arguments ----------------------------------------------------------------------------------------------------------


@pytest.mark.promise("gate-reserved-keys-refused", "gate-trap-entity-in-arguments")
def test_an_entity_in_an_argument_would_be_taken_for_real_and_is_refused() -> None:
    injected = {"__entity": {"type": "User", "id": "kim"}}
    owner = "permit (principal, action, resource) when { context.input.note == principal };"
    assert bare(owner, {"input": {"note": injected}}).allowed
    with pytest.raises(FlyballError, match="note"):
        policy_context(input_shape(ACTIONS["save"]), {**SAVED, "note": injected})
    with pytest.raises(FlyballError, match="__entity"):
        policy_context(input_shape(ACTIONS["save"]), {**SAVED, "person": {"name": "a", **injected}})
    asked = asking("save", SAVED)
    answer = compiled().evaluate(with_context(asked, input={**asked.context["input"], "note": injected}))
    assert not answer.allow and answer.errors


@pytest.mark.promise("gate-duplicate-keys-refused")
@pytest.mark.parametrize("raw", ['{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}'])
def test_our_readers_take_a_key_twice_and_the_gate_does_not(raw: str) -> None:
    assert orjson.loads(raw) and msgspec.json.decode(raw)
    with pytest.raises(FlyballError, match="twice"):
        parse_json(raw)


@pytest.mark.promise("gate-trap-nan")
def test_orjson_writes_nan_as_null_and_the_gate_refuses_it_before() -> None:
    assert orjson.dumps(float("nan")) == b"null"
    with pytest.raises(FlyballError, match="finite"):
        policy_context(input_shape(ACTIONS["save"]), {**SAVED, "rate": float("nan")})


@pytest.mark.promise("gate-trap-numbers")
@pytest.mark.parametrize("value", [2.5, None, 2**63])
def test_what_fails_a_whole_request_in_cedar_is_refused_or_encoded(value: Any) -> None:
    assert bare(PERMIT, {"input": {"amount": value}}).decision is cedarpy.Decision.NoDecision
    shape = input_shape(ACTIONS["save"])
    if value is None:
        assert "amount" in policy_context(shape, {**SAVED, "amount": None})["nulls"]
    else:
        with pytest.raises(FlyballError, match="argument amount is refused"):
            policy_context(shape, {**SAVED, "amount": value})


@pytest.mark.promise("gate-numbers-are-never-rounded")
def test_a_number_is_exact_to_four_places_or_refused() -> None:
    cheap = """@id("f") forbid (principal, action == Action::"save", resource)
    when { context.input.rate.lessThan(decimal("0.1")) };"""
    assert compiled(cheap).evaluate(asking("save", {**SAVED, "rate": 0.0999})).determining == ("project/f",)
    assert compiled(cheap).evaluate(asking("save", {**SAVED, "rate": 0.1})).allow
    with pytest.raises(FlyballError, match="argument rate is refused: it has more than four decimal places"):
        asking("save", {**SAVED, "rate": 0.09999})


@pytest.mark.promise("gate-null-is-not-absent", "gate-nulls-are-named")
def test_null_is_not_absent() -> None:
    context = asking("save", SAVED).context
    assert "ssn" not in context["input"]["person"] and context["nulls"] == ["person/ssn", "tags"]
    assert asking("save", {**SAVED, "person": {"name": "a"}}).context["nulls"] == ["tags"]


@pytest.mark.promise("gate-trap-large-collections")
def test_a_large_collection_is_refused_before_it_holds_everything_up() -> None:
    with pytest.raises(FlyballError, match="more than 1000 members"):
        asking("save", {**SAVED, "tags": ["x"] * 1001})


@pytest.mark.promise("gate-trap-large-collections")
def test_policy_reads_at_most_64_kib() -> None:
    with pytest.raises(FlyballError, match="65536 bytes"):
        asking("save", {**SAVED, "tags": [f"{n:04}" + "x" * 200 for n in range(400)]})


@pytest.mark.promise("gate-trap-large-collections")
def test_longer_text_goes_as_digest_and_length() -> None:
    context = asking("send", {**SENT, "body": "x" * 9000}).context
    assert context["input"]["body"].startswith("sha256:") and context["input"]["body"].endswith(":9000")
    assert context["digested"] == ["body"] and context["length"]["body"] == 9000


@pytest.mark.promise("gate-trap-large-collections")
@pytest.mark.parametrize("text", ["context.input.body", "(if context.egress then context.input.body else context.env)"])
def test_padding_a_text_does_not_get_it_past_a_pattern(text: str) -> None:
    forbid = f'@id("f") forbid (principal, action == Action::"send", resource) when {{ {text} like "*secret*" }};'
    padded = asking("send", {**SENT, "body": "secret" + " " * 9000})
    answer = compiled(forbid).evaluate(padded)
    assert not answer.allow and answer.errors[0].startswith("text_too_long")
    assert compiled().evaluate(padded).allow


@pytest.mark.promise("gate-derived-recipients")
def test_a_pattern_on_addresses_matches_two_recipients_and_the_derived_set_does_not() -> None:
    two = asking("send", {**SENT, "to": "eve@evil.example, ada@acme.example"})
    scope = 'principal, action == Action::"send", resource'
    like = compiled(f'@id("f") forbid ({scope}) unless {{ context.input.to like "*@acme.example" }};')
    sets = compiled(f'@id("f") forbid ({scope}) unless {{ ["acme.example"].containsAll(context.input.to_domains) }};')
    assert like.evaluate(two).allow and not sets.evaluate(two).allow
    assert sets.evaluate(asking("send")).allow


@pytest.mark.promise("gate-derived-recipients")
@pytest.mark.parametrize(
    "to", ["ada@acme.example\nbcc: eve@evil.example", "<ada@acme.example> eve@evil.example", "ada", ""]
)
def test_what_is_no_address_is_in_nobodys_list(to: str) -> None:
    policy = """@id("f") forbid (principal, action == Action::"send", resource)
    unless { ["acme.example"].containsAll(context.input.to_domains) };"""
    assert not compiled(policy).evaluate(asking("send", {**SENT, "to": to})).allow


# The action ---------------------------------------------------------------------------------------------------------


@pytest.mark.promise("gate-tool-names-do-not-collide")
@pytest.mark.parametrize("pair", [("send", "SEND"), ("send", "ｓｅｎｄ"), ("ﬁle", "file")])
def test_names_that_read_alike_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(PolicyError, match="read as one name"):
        CedarEngine().schema([Action(name=name) for name in pair], {})


@pytest.mark.promise("gate-tool-names-do-not-collide")
@pytest.mark.parametrize("name", ["read", "Model", "approve"])
def test_a_tool_cannot_take_a_word_of_ours(name: str) -> None:
    with pytest.raises(PolicyError, match="already means"):
        CedarEngine().schema([Action(name=name)], {})


@pytest.mark.promise("gate-opaque-arguments")
@pytest.mark.parametrize("schema", [{}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"type": "object"}])
def test_a_critical_argument_that_policy_cannot_see_refuses_the_tool(schema: dict[str, Any]) -> None:
    given = {"type": "object", "properties": {"what": schema}, "required": ["what"]}
    with pytest.raises(PolicyError, match="cannot see into the critical argument what"):
        CedarEngine().schema([Action(name="do", input_schema=given, critical=frozenset({"what"}))], {})
    assert input_shape(Action(name="do", input_schema=given)).record.fields["what"].kind == "opaque"


# Ids ----------------------------------------------------------------------------------------------------------------


@pytest.mark.promise("gate-unique-policy-ids")
def test_cedar_gives_positional_ids_and_takes_one_id_twice_and_we_do_neither() -> None:
    twice = '@id("a") permit (principal, action, resource); @id("a") permit (principal, action, resource);'
    assert set(json.loads(cedarpy.policies_to_json_str(twice))["staticPolicies"]) == {"policy0", "policy1"}
    assert "the id a stands twice" in refused(twice)[0].what
    assert compiled().evaluate(asking("send")).determining == ("project/all",)


# Nesting ------------------------------------------------------------------------------------------------------------

NESTED = {
    "brackets": "(" * 1000 + "true" + ")" * 1000,
    "sets": "[" * 1000 + "]" * 1000 + " == []",
    "conditions": "if true then true else " * 1000 + "true",
    "a chain": " && ".join(["true"] * 1000),
    "negation": "!" * 1000 + "true",
}


def test_a_thousandfold_nested_policy_kills_the_bare_parser() -> None:
    code = "import sys, cedarpy; cedarpy.policies_to_json_str(sys.stdin.read())"
    text = f"permit (principal, action, resource) when {{ {NESTED['brackets']} }};"
    assert subprocess.run([sys.executable, "-c", code], input=text, text=True, capture_output=True).returncode < 0


@pytest.mark.promise("gate-trap-deep-nesting")
@pytest.mark.parametrize("kind", NESTED)
def test_a_thousandfold_nested_policy_is_a_finding(kind: str) -> None:
    found = refused(f'@id("deep") permit (principal, action, resource) when {{ {NESTED[kind]} }};')
    assert found[0].where.startswith("desk.cedar:1") and found[0].what


@pytest.mark.promise("gate-trap-deep-nesting")
def test_a_child_that_crashes_is_a_finding_that_names_the_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    script = tmp_path / "crash.py"
    script.write_text(
        "import os, sys; sys.stderr.write('desk.cedar:7\\n'); sys.stderr.flush(); os.kill(os.getpid(), 11)"
    )
    monkeypatch.setattr(child, "_SCRIPT", script)
    with pytest.raises(PolicyError, match=r"desk.cedar:7: the policy compiler crashed \(signal 11\)"):
        child.check({"desk.cedar": "crash"})


@pytest.mark.promise("gate-trap-deep-nesting")
def test_a_child_that_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    script = tmp_path / "hang.py"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(child, "_SCRIPT", script)
    monkeypatch.setattr(child, "SECONDS", 0.2)
    with pytest.raises(PolicyError, match="took more than"):
        child.check({"desk.cedar": "hang"})


# The canary ---------------------------------------------------------------------------------------------------------


def _no_parents(nodes: Any, attributes: Any) -> bytes:
    return orjson.dumps(
        [{"uid": {"type": n.uid.type, "id": n.uid.id}, "attrs": dict(n.attrs), "parents": []} for n in nodes]
    )


@pytest.mark.promise("gate-canary")
def test_the_gate_does_not_open_when_parents_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyball.adapters.policy_cedar.compiled.entities_json", _no_parents)
    with pytest.raises(PolicyError, match="group-forbid"):
        CedarEngine()


@pytest.mark.promise("gate-canary")
def test_the_gate_does_not_open_when_entities_are_parsed_without_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    real = cedarpy.Entities.from_json_str
    monkeypatch.setattr(cedarpy.Entities, "from_json_str", lambda raw, schema=None: real(raw))
    with pytest.raises(PolicyError, match="action-group-forbid"):
        CedarEngine()


@pytest.mark.promise("gate-canary")
def test_the_gate_does_not_open_when_slices_lose_group_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "applies", lambda constraint, groups, action: constraint["op"] == "All")
    with pytest.raises(PolicyError, match="action-group-forbid"):
        canary.canary()


# Approvals ----------------------------------------------------------------------------------------------------------

AROUND = [
    '@id("x") permit (@) when { context.approvals.contains("finance") };',
    '@id("x") forbid (@) unless { context.approvals.contains("finance") };',
    '@id("x") forbid (@) when { !context.approvals.contains("finance") };',
    '@id("x") forbid (@) when { context["approvals"].isEmpty() };',
    '@id("x") forbid (@) when { context has approvals };',
    '@id("x") permit (@) when { {"c": context}.c.approvals.contains("finance") };',
    '@id("x") permit (@) when { (if true then context else context).approvals.contains("a") };',
    '@id("x") permit (@) when { [context].contains(context) };',
    '@id("x") @require_approval("finance") forbid (@);',
    '@id("x") @require_approval("finance") forbid (@) unless { context.approvals.contains("legal") };',
    '@id("x") @require_approval("finance") forbid (@) when { context.approvals.contains("finance") };',
    '@id("x") @require_approval("a") forbid (@) unless { context.approvals.contains("a") || true };',
    """@id("x") @require_approval("a") forbid (@)
    when { !context.approvals.contains("b") } unless { context.approvals.contains("a") };""",
    """@id("x") @require_approval("a") forbid (@)
    unless { context.approvals.contains("a") } unless { context.approvals.contains("a") };""",
    '@id("x") @require_approval("finance:1") forbid (@) unless { context.approvals.contains("finance:1") };',
    '@id("x") @require_approval("finance") permit (@);',
    '@id("x") @modify("drop:/note") permit (@);',
    """@id("x") @require_approval("a") @modify("drop:/tags") forbid (@)
    unless { context.approvals.contains("a") };""",
    '@id("x") @require_approval forbid (@);',
    '@id("flyball.start") permit (@);',
]


@pytest.mark.promise("gate-approval-shape")
@pytest.mark.parametrize("policy", AROUND)
def test_there_is_no_way_around_the_shape_of_an_approval(policy: str) -> None:
    assert all(
        f.where.startswith("desk.cedar:1") for f in refused(policy.replace("(@)", "(principal, action, resource)"))
    )


@pytest.mark.promise("gate-broader-permit-drops-nothing")
def test_a_broader_permit_does_not_drop_an_approval() -> None:
    ask = """@id("ask") @require_approval("finance:2") forbid (principal, action == Action::"save", resource)
    unless { context.approvals.contains("finance:2") };"""
    bundle = compiled(ask, '@id("wide") permit (principal in Group::"staff", action, resource);')
    assert bundle.evaluate(asking("save", SAVED)).determining == ("project/ask",)
    assert bundle.bundle.cures["ask"].people == 2
    assert bundle.evaluate(with_approvals(asking("save", SAVED), "finance:2")).allow


# The starter --------------------------------------------------------------------------------------------------------


@pytest.mark.promise("gate-starter")
def test_the_starter_allows_reads_asks_for_effects_and_denies_egress() -> None:
    bundle = CedarEngine().compile(starter(), list(ACTIONS.values()), ENTITIES)
    assert bundle.bundle.name == "flyball/starter"
    assert bundle.evaluate(asking("look", LOOKED, nodes=(customer(),))).allow
    assert bundle.evaluate(asking("save", SAVED)).determining == ("project/starter-effects-ask-owner",)
    assert bundle.evaluate(with_approvals(asking("save", SAVED), "owner")).allow
    assert not bundle.evaluate(with_approvals(asking("send"), "owner")).allow


def test_the_starter_is_taken_where_no_tool_has_an_effect() -> None:
    bundle = CedarEngine().compile(starter(), [ACTIONS["look"]], ENTITIES)
    assert bundle.evaluate(asking("look", LOOKED, nodes=(customer(),))).allow


@pytest.mark.promise("gate-starter")
def test_the_starter_denies_what_moves_money() -> None:
    pay = Action(name="pay", effect="irreversible", egress=False, risk="high")
    bundle = CedarEngine().compile(starter(), [pay], {})
    context = policy_context(input_shape(pay), {})
    tool = Node(uid=Uid("Tool", "pay"))
    asked = msgspec.structs.replace(asking("save", SAVED), action="pay", resource=tool.uid, context=context)
    asked = msgspec.structs.replace(asked, entities=(*asked.entities, tool), approvals=frozenset({"owner"}))
    assert bundle.evaluate(asked).determining == ("project/starter-no-money",)


@pytest.mark.promise("gate-shadow")
def test_a_source_that_is_wholly_in_shadow_is_not_enforced() -> None:
    source = Source(layer="project", name="new", files={"a.cedar": PERMIT}, shadow=True)
    bundle = CedarEngine().compile(source, list(ACTIONS.values()), ENTITIES)
    assert not bundle.bundle.enforced
    assert bundle.evaluate_shadow(asking("send")).allow and not bundle.evaluate(asking("send")).allow
