"""The loop alone, over a made-up engine: a table of policies as Python functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flyball.core.decision import Approvals, Decision, closure, decide, strongest
from flyball.core.modify import parse_modifier
from flyball.core.policy import Answer, Cure, Layer

Rule = Callable[[Mapping[str, Any]], bool]
PERMIT: dict[str, Rule] = {"permit": lambda a: True}


class Table:
    """Forbids by id, each with its condition and, where it has one, its cure."""

    def __init__(
        self, permits: dict[str, Rule] = PERMIT, error: Rule = lambda a: False, **forbids: tuple[Rule, Cure | None]
    ) -> None:
        self.permits, self.error, self.forbids = permits, error, forbids
        self.asked = 0

    @property
    def cures(self) -> dict[str, Cure]:
        return {f"project/{name}": cure for name, (_, cure) in self.forbids.items() if cure}

    def ask(self, arguments: Mapping[str, Any], approvals: Approvals, plain: bool) -> tuple[Answer, ...]:
        self.asked += 1
        if self.error(arguments):
            return (Answer(allow=False, errors=("boom",)),)
        held = approvals.get("project", frozenset())
        firing = [
            f"project/{name}"
            for name, (rule, cure) in self.forbids.items()
            if rule(arguments) and not (plain and cure) and not (cure and cure.approval and cure.approval in held)
        ]
        permits = [f"project/{name}" for name, rule in self.permits.items() if rule(arguments)]
        return (Answer(allow=bool(permits) and not firing, determining=tuple(firing or permits)),)

    def decide(self, arguments: Mapping[str, Any], **more: Any) -> Decision:
        return decide(arguments, self.ask, self.cures, **more)


def asks(name: str, group: str, people: int = 1, layer: Layer = "project") -> Cure:
    return Cure(policy=name, layer=layer, group=group, people=people, reason=f"{group} must agree")


def changes(name: str, text: str) -> Cure:
    return Cure(policy=name, layer="project", modifier=parse_modifier(text))


def over(n: int) -> Rule:
    return lambda a: a.get("n", 0) > n


def test_what_is_allowed_takes_one_round() -> None:
    table = Table()
    found = table.decide({"n": 1})
    assert (found.outcome, found.determining, found.rounds, table.asked) == ("allow", ("project/permit",), 1, 1)


@pytest.mark.promise("gate-default-deny", "gate-plain-refusals-first")
def test_without_a_permit_it_is_denied_though_an_approval_would_lift_the_forbid() -> None:
    found = Table({}, f=(over(1), asks("f", "finance"))).decide({"n": 2})
    assert found.outcome == "deny" and found.reason == "no policy permits it" and not found.cures


@pytest.mark.promise("gate-plain-refusals-first", "gate-forbid-wins")
def test_a_plain_forbid_denies_and_is_named() -> None:
    found = Table(f=(over(1), None), ask=(over(0), asks("ask", "finance"))).decide({"n": 2})
    assert (found.outcome, found.determining) == ("deny", ("project/f",))


def test_approvals_that_still_fire_are_asked_for() -> None:
    table = Table(a=(over(1), asks("a", "finance")), b=(over(9), asks("b", "legal")))
    found = table.decide({"n": 2})
    assert (found.outcome, found.groups, found.because) == ("require_approval", ("finance",), ("project/a",))
    assert found.determining == ("project/a", "project/permit") and found.missing == found.cures
    assert found.reason == "an approval is needed: finance must agree"


def test_a_modifier_is_applied_and_named() -> None:
    found = Table(m=(over(5), changes("m", "clamp:/n:5"))).decide({"n": 9})
    assert (found.outcome, found.arguments) == ("modify", {"n": 5})
    assert [c.policy for c in found.modifiers] == ["m"] and found.reason == "modified: m"


@pytest.mark.promise("gate-loop-in-order")
def test_modifiers_are_applied_until_none_fires() -> None:
    table = Table(
        a=(lambda a: a.get("t") == "secret", changes("a", 'replace_const:/t:"hidden"')),
        b=(lambda a: a.get("t") == "hidden" and "x" in a, changes("b", "drop:/x")),
    )
    assert table.decide({"t": "secret", "x": 1}).arguments == {"t": "hidden"}


def test_a_modifier_that_does_not_help_denies() -> None:
    found = Table(m=(lambda a: "t" in a, changes("m", "mask:/t"))).decide({"t": "x"})
    assert found.outcome == "deny" and found.reason == "a modifier does not lift its own forbid"


def test_a_modifier_that_cannot_be_applied_denies() -> None:
    found = Table(m=(lambda a: True, changes("m", "clamp:/t:1"))).decide({"t": "x"})
    assert found.outcome == "deny" and "clamp" in found.reason


@pytest.mark.promise("gate-modifiers-never-overlap")
def test_modifiers_that_overlap_deny() -> None:
    table = Table(
        a=(over(5), changes("a", "clamp:/n:5")), b=(over(5), changes("b", "clamp:/n:4")),
    )  # fmt: skip
    assert table.decide({"n": 9}).reason == "two modifiers overlap: clamp /n and clamp /n"


@pytest.mark.promise("gate-modified-is-validated-again")
def test_what_the_tool_would_refuse_after_a_modifier_is_denied() -> None:
    table = Table(m=(over(5), changes("m", "clamp:/n:5")))
    found = table.decide({"n": 9}, revalidate=lambda a: "n must be more than 5")
    assert (found.outcome, found.reason) == ("deny", "n must be more than 5")


@pytest.mark.promise("gate-defaults-before-policy", "gate-modified-is-validated-again")
def test_defaults_that_validation_puts_back_are_what_policy_sees() -> None:
    table = Table(m=(lambda a: a.get("t") == "x", changes("m", "drop:/t")))
    assert table.decide({"t": "x"}, revalidate=lambda a: {"t": None, **a}).arguments == {"t": None}
    assert table.decide({"t": "x"}, revalidate=lambda a: {"t": "x", **a}).outcome == "deny"


@pytest.mark.promise("gate-loop-in-order")
def test_the_plain_evaluation_is_of_the_original_arguments() -> None:
    table = Table(f=(over(7), None), m=(over(5), changes("m", "clamp:/n:5")))
    assert table.decide({"n": 6}).outcome == "modify"
    assert table.decide({"n": 8}).outcome == "deny"


def test_a_plain_forbid_that_a_modifier_makes_fire_denies() -> None:
    table = Table(f=(lambda a: a["n"] == 5, None), m=(over(5), changes("m", "clamp:/n:5")))
    assert table.decide({"n": 9}).reason == "a policy forbids it, whoever approves"


@pytest.mark.promise("gate-any-error-denies")
@pytest.mark.parametrize("when", [2, 1, 5])
def test_an_error_at_any_point_denies(when: int) -> None:
    table = Table(error=lambda a: a["n"] == when, m=(over(5), changes("m", "clamp:/n:5")), a=(over(0), asks("a", "g")))
    found = table.decide({"n": when if when < 5 else 9})
    assert (found.outcome, found.errors) == ("deny", ("boom",))


def test_an_error_of_the_plain_set_alone_denies() -> None:
    def ask(arguments: Mapping[str, Any], approvals: Approvals, plain: bool) -> tuple[Answer, ...]:
        return (Answer(allow=False, errors=("boom",) if plain else ()),)

    assert decide({}, ask, {}).errors == ("boom",)


def test_an_error_of_the_last_evaluation_alone_denies() -> None:
    def ask(arguments: Mapping[str, Any], approvals: Approvals, plain: bool) -> tuple[Answer, ...]:
        if approvals:
            return (Answer(allow=True, errors=("boom",)),)
        return (Answer(allow=plain, determining=("project/a",)),)

    found = decide({}, ask, {"project/a": asks("a", "finance")})
    assert (found.outcome, found.errors) == ("deny", ("boom",))


@pytest.mark.promise("gate-any-error-denies")
def test_no_answer_is_no_permission() -> None:
    assert decide({}, lambda arguments, approvals, plain: (), {}).outcome == "deny"


@pytest.mark.promise("gate-every-link-must-allow", "gate-every-layer-must-allow")
def test_one_link_or_layer_that_denies_is_enough() -> None:
    answers = (Answer(allow=True, determining=("platform/p",)), Answer(allow=False, determining=("project/f",)))
    found = decide({}, lambda arguments, approvals, plain: answers, {})
    assert (found.outcome, found.determining) == ("deny", ("project/f",))


@pytest.mark.promise("gate-cure-lifts-its-own-forbid")
def test_approvals_that_are_held_allow_and_are_named() -> None:
    table = Table(a=(over(1), asks("a", "finance")))
    found = table.decide({"n": 2}, given={"project": frozenset({"finance"})})
    assert (found.outcome, [c.policy for c in found.cures], found.missing) == ("allow", ["a"], ())
    assert found.reason == "approved: finance must agree"


@pytest.mark.promise("gate-groups-belong-to-layers")
def test_approvals_of_another_layer_do_not_count() -> None:
    table = Table(a=(over(1), asks("a", "finance")))
    assert table.decide({"n": 2}, given={"platform": frozenset({"finance"})}).outcome == "require_approval"


@pytest.mark.promise("gate-law-no-idle-approval")
def test_only_what_is_missing_is_asked_for() -> None:
    table = Table(a=(over(1), asks("a", "finance")), b=(over(1), asks("b", "legal")))
    found = table.decide({"n": 2}, given={"project": frozenset({"finance"})})
    assert found.groups == ("legal",) and len(found.cures) == 2


@pytest.mark.promise("gate-approvals-need-a-fresh-allow")
def test_approvals_do_not_survive_a_modifier() -> None:
    table = Table(a=(over(1), asks("a", "finance")), m=(over(5), changes("m", "clamp:/n:5")))
    held = {"project": frozenset({"finance"})}
    found = table.decide({"n": 9}, given=held)
    assert (found.outcome, found.arguments) == ("require_approval", {"n": 5})
    assert table.decide(found.arguments, given=held).outcome == "allow"


@pytest.mark.promise("gate-approvals-need-a-fresh-allow")
def test_a_cure_that_the_engine_does_not_honour_denies() -> None:
    def ask(arguments: Mapping[str, Any], approvals: Approvals, plain: bool) -> tuple[Answer, ...]:
        return (Answer(allow=plain, determining=("project/a",)),)

    assert decide({}, ask, {"project/a": asks("a", "finance")}).reason == "a policy forbids it, whoever approves"


def test_a_forbid_without_a_cure_that_only_the_full_set_has_denies() -> None:
    def ask(arguments: Mapping[str, Any], approvals: Approvals, plain: bool) -> tuple[Answer, ...]:
        return (Answer(allow=plain, determining=("project/odd",)),)

    assert decide({}, ask, {}).outcome == "deny"


def test_an_engine_that_allows_after_all_is_believed() -> None:
    answers = iter([Answer(allow=False), Answer(allow=True), Answer(allow=True)])
    found = decide({}, lambda arguments, approvals, plain: (next(answers),), {})
    assert (found.outcome, found.reason) == ("allow", "permitted")


def test_two_people_are_also_one() -> None:
    assert closure(frozenset({"finance:3", "legal"})) == {"finance:3", "finance:2", "finance", "legal"}
    assert strongest(["finance", "finance:2", "legal"]) == {"finance:2", "legal"}


def test_who_is_asked_for_two_is_not_asked_for_one() -> None:
    table = Table(a=(over(1), asks("a", "finance")), b=(over(1), asks("b", "finance", 2)))
    found = decide({"n": 2}, table.ask, table.cures)
    assert found.groups == ("finance:2",) and found.because == ("project/a", "project/b")
