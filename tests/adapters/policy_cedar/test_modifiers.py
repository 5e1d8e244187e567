from __future__ import annotations

import json

import pytest

from tests.adapters.policy_cedar.desk import compiled, refused

SAVE = 'principal, action == Action::"save", resource'


def modifier(change: str, when: str, scope: str = SAVE, name: str = "m") -> str:
    return f'@id("{name}") @modify({json.dumps(change)}) forbid ({scope}) when {{ {when} }};'


SHOWN = [
    modifier("drop:/person/ssn", "context.input.person has ssn"),
    modifier(
        "drop:/person/ssn", "context.input has person && context.input.person has ssn", "principal, action, resource"
    ),
    modifier("drop:/tags", 'context.input has tags && context.input.tags.contains("internal")'),
    modifier("clamp:/amount:500", "context.input.amount > 500"),
    modifier("clamp:/rate:0.5", 'context.input.rate.greaterThan(decimal("0.5"))'),
    modifier("truncate:/note:100", "context.length.note > 100"),
    modifier('replace_const:/note:""', 'context.input.note like "*secret*" && principal in Group::"staff"'),
    modifier("mask:/note", 'context.input.note == "secret"'),
    modifier("drop:/tags", 'context.input has tags && !context.input.tags.isEmpty() && resource == Tool::"save"'),
    modifier(
        "replace_const:/discount:0", "context.input.discount > 0", 'principal, action in [Action::"send"], resource'
    ),
    modifier("drop:/discount", "context.input.discount > 0", 'principal, action == Action::"send", resource'),
    modifier(
        "replace_const:/deep:false",
        'context.input.deep && resource.tier == "gold"',
        'principal, action == Action::"look", resource',
    ),
    modifier(
        'replace_const:/to:"ada@acme.example"',
        '!["acme.example"].containsAll(context.input.to_domains)',
        'principal, action == Action::"send", resource',
    ),
    modifier("drop:/tags", 'context.input has tags && ["a"].containsAny(context.input.tags)'),
]


@pytest.mark.promise("gate-modifiers-are-self-tested")
@pytest.mark.parametrize("policy", SHOWN)
def test_a_modifier_that_lifts_its_forbid_is_taken(policy: str) -> None:
    assert compiled(policy).bundle.cures["m"].modifier


REFUSED = [
    (modifier("mask:/person/ssn", "context.input.person has ssn"), "does not lift its own forbid"),
    (modifier("clamp:/amount:501", "context.input.amount > 500"), "does not lift its own forbid"),
    (modifier("clamp:/amount:500", 'context.input.amount > 500 || context.input.note like "*x*"'), "does not lift"),
    (modifier("truncate:/note:10", 'context.input.note like "*secret*"'), "does not lift"),
    (
        modifier("drop:/discount", "context.input.discount >= 0", 'principal, action == Action::"send", resource'),
        "does not lift",
    ),
    (modifier("clamp:/amount:5", "context.input.amount > 5 && context.input.amount < 5"), "cannot be shown"),
    (modifier("clamp:/amount:5", "context.input.amount > context.input.amount + 1"), "cannot be shown"),
    (modifier("drop:/person/ssn", 'context.risk == "high"'), "does not lift"),
    (modifier("drop:/zz", "true"), "points to nothing on save (arguments: person, amount"),
    (modifier("drop:/zz", "true", "principal, action, resource"), "points to nothing"),
    (modifier("drop:/tags/0", "true"), "points to nothing"),
    (modifier("drop:/person/name", "true"), "cannot do without name"),
    (modifier("clamp:/note:5", "true"), "clamp does not suit /note"),
    (modifier("mask:/amount", "true"), "mask does not suit /amount"),
    (modifier("clamp:/amount:5.5", "context.input.amount > 5"), "is a whole number"),
    (modifier('replace_const:/amount:"x"', "context.input.amount > 5"), "does not lift"),
    (
        modifier("mask:/customer", "true", 'principal, action == Action::"look", resource'),
        "which Customer look acts on",
    ),
    (
        modifier("drop:/tags", "true", 'principal, action in [Action::"save", Action::"send"], resource'),
        "points to nothing on send",
    ),
]


@pytest.mark.promise("gate-modifiers-are-self-tested")
@pytest.mark.parametrize(("policy", "said"), REFUSED)
def test_a_modifier_that_cannot_be_shown_to_help_is_refused(policy: str, said: str) -> None:
    found = refused(policy)
    assert said in str(found[0]) and found[0].where == "desk.cedar:1 m"


@pytest.mark.promise("gate-modifiers-never-overlap")
@pytest.mark.parametrize("other", ["drop:/person/ssn", 'replace_const:/person/ssn:"x"'])
def test_two_modifiers_of_one_place_are_refused(other: str) -> None:
    one = modifier("drop:/person/ssn", "context.input.person has ssn")
    two = modifier(other, 'context.input.person has ssn && context.input.person.ssn == "1"', name="n")
    found = refused(one, two)
    assert "overlaps with drop:/person/ssn of desk.cedar:1 m on save" in found[0].what


def test_two_modifiers_of_two_places_go_together() -> None:
    one = modifier("drop:/person/ssn", "context.input.person has ssn")
    two = modifier("clamp:/amount:5", "context.input.amount > 5", name="n")
    assert set(compiled(one, two).bundle.cures) == {"m", "n"}
