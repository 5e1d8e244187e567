"""The laws of GATE section 3 over made-up policy sets on real Cedar, and what they say when a step is taken out."""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.core import decision
from flyball.core.decision import closure
from flyball.core.policy import Cure, Layer
from tests.gate.worlds import World, allowed, drawn, oracle, revalidated

Law = Callable[[World], bool]
FEW = settings(max_examples=40, derandomize=True, database=None, deadline=None)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    return drawn(lambda options: draw(st.sampled_from(options)))


@functools.cache
def sample() -> tuple[World, ...]:
    """The same worlds on every run."""
    dice = random.Random(20_251)
    return tuple(drawn(dice.choice) for _ in range(160))


def approvals(cures: tuple[Cure, ...]) -> dict[Layer, frozenset[str]]:
    layers: set[Layer] = {c.layer for c in cures}
    return {layer: frozenset(c.approval for c in cures if c.layer == layer) for layer in layers}


# The laws -----------------------------------------------------------------------------------------------------------


def it_is_what_trying_out_finds(world: World) -> bool:
    found, (outcome, final, needed) = world.decide(), oracle(world)
    if found.outcome != outcome or outcome == "deny":
        return found.outcome == outcome
    spelt = {(layer, a) for layer, names in approvals(found.missing).items() for a in closure(names)}
    expected = {(layer, b) for layer, a in needed for b in closure(frozenset({a}))}
    return found.arguments == final and spelt == expected


def final_arguments_get_the_same_approvals_and_no_modify(world: World) -> bool:
    found = world.decide()
    if found.outcome == "deny":
        return True
    again = world.decide(found.arguments)
    expected = "allow" if found.outcome == "modify" else found.outcome
    return (again.outcome, again.arguments, again.missing) == (expected, found.arguments, found.missing)


def what_is_denied_stays_denied_whoever_approves(world: World) -> bool:
    return world.decide().outcome != "deny" or world.decide(given=world.everyone()).outcome == "deny"


def asking_for_more_never_helps(world: World) -> bool:
    plainly = all(a.allow for a in world.ask(world.arguments, {}, True))
    return plainly or world.decide().outcome == "deny"


def order_does_not_matter(world: World) -> bool:
    turned = World(platform=world.platform[::-1], project=world.project[::-1], arguments=world.arguments)
    return world.decide() == turned.decide()


def every_approval_asked_for_helps(world: World) -> bool:
    found = world.decide()
    wanted = {(c.layer, group) for c in found.missing for group in found.groups if group == c.approval}
    return all(not allowed(world, found.arguments, frozenset(wanted - {one})) for one in wanted)


def what_runs_is_allowed_by_the_engine(world: World) -> bool:
    found = world.decide()
    if found.outcome == "deny":
        return True
    return all(a.allow for a in world.ask(found.arguments, _spelt(found.cures), False))


def what_runs_is_valid(world: World) -> bool:
    found = world.decide()
    changed = found.arguments != world.arguments
    return found.outcome == "deny" or not changed or not isinstance(revalidated(found.arguments), str)


def real_approvals_of_the_final_arguments_allow_them(world: World) -> bool:
    found = world.decide()
    if found.outcome != "require_approval":
        return True
    held = approvals(found.missing)
    fresh = world.decide(found.arguments, given=held)
    return (fresh.outcome, fresh.arguments, fresh.cures) == ("allow", found.arguments, found.cures)


def approvals_do_not_cover_arguments_that_a_modifier_changed(world: World) -> bool:
    found = world.decide(given=world.everyone())
    return not (found.modifiers and found.cures) or found.outcome == "require_approval"


def _spelt(cures: tuple[Cure, ...]) -> dict[Layer, frozenset[str]]:
    return {layer: closure(names) for layer, names in approvals(cures).items()}


LAWS: tuple[Law, ...] = (
    it_is_what_trying_out_finds,
    final_arguments_get_the_same_approvals_and_no_modify,
    what_is_denied_stays_denied_whoever_approves,
    asking_for_more_never_helps,
    order_does_not_matter,
    every_approval_asked_for_helps,
    what_runs_is_allowed_by_the_engine,
    what_runs_is_valid,
    real_approvals_of_the_final_arguments_allow_them,
    approvals_do_not_cover_arguments_that_a_modifier_changed,
)


@pytest.mark.promise("gate-law-denied-stays-denied", case="asking_for_more_never_helps")
@pytest.mark.promise("gate-law-no-idle-approval", case="every_approval_asked_for_helps")
@pytest.mark.promise("gate-law-final-arguments", case="final_arguments_get_the_same_approvals_and_no_modify")
@pytest.mark.promise("gate-every-layer-must-allow", "gate-loop-in-order", case="it_is_what_trying_out_finds")
@pytest.mark.promise("gate-law-order", case="order_does_not_matter")
@pytest.mark.promise("gate-approvals-need-a-fresh-allow", case="real_approvals_of_the_final_arguments_allow_them")
@pytest.mark.promise("gate-law-denied-stays-denied", case="what_is_denied_stays_denied_whoever_approves")
@pytest.mark.promise("gate-loop-in-order", case="what_runs_is_allowed_by_the_engine")
@pytest.mark.promise("gate-modified-is-validated-again", case="what_runs_is_valid")
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Law) -> None:
    @FEW
    @given(worlds())
    def holds(world: World) -> None:
        assert law(world)

    holds()


def test_every_law_holds_on_the_fixed_sample() -> None:
    broken = [(law.__name__, world) for law in LAWS for world in sample() if not law(world)]
    assert broken == [], f"{len(broken)} broken, first {broken[0]}"


def test_each_verdict_is_reached_by_fifteen_per_cent_of_the_cases() -> None:
    reached = Counter(world.decide().outcome for world in sample())
    assert set(reached) == {"allow", "modify", "require_approval", "deny"}
    cases = len(sample())
    assert min(reached.values()) >= 0.15 * cases, reached


# Without one of its steps, the loop breaks a law --------------------------------------------------------------------


def _supposes_everything(answers: Any, cures: Any) -> Any:
    return tuple(c for c in cures.values() if c.approval)


def _modifies_once(state: Any, answers: Any, cures: Any, revalidate: Any) -> Any:
    firing = decision._firing_modifiers(answers, cures)
    refusal = decision._change(state, firing, firing, revalidate)
    return state.denied(refusal, answers) if refusal else (state.answers(), firing)


def _does_not_confirm(state: Any, needed: Any, applied: Any, given: Any) -> Any:
    outcome = "require_approval" if needed else "modify" if applied else "allow"
    return decision.Decision(
        outcome=outcome, arguments=state.arguments, cures=needed, missing=needed, modifiers=applied
    )


def _does_not_validate(state: Any, firing: Any, applied: Any, revalidate: Any) -> str:
    return _CHANGE(state, firing, applied, lambda _: None)


_CHANGE = decision._change

WITHOUT: dict[str, tuple[str, Any]] = {
    "the plain evaluation of the original": ("_refuse_plainly", lambda state, first: None),
    "modifiers": ("_modify", lambda state, answers, cures, revalidate: (answers, ())),
    "modifying until none fires": ("_modify", _modifies_once),
    "validation after a modifier": ("_change", _does_not_validate),
    "the refusal of overlapping modifiers": ("conflict", lambda modifiers: None),
    "supposing approvals": ("_suppose", lambda answers, cures: ()),
    "supposing only those that fire": ("_suppose", _supposes_everything),
    "the last evaluation": ("_confirm", _does_not_confirm),
}


@pytest.mark.promise("gate-loop-in-order")
@pytest.mark.parametrize("step", WITHOUT)
def test_no_step_can_be_left_out(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, instead = WITHOUT[step]
    monkeypatch.setattr(decision, name, instead)
    assert any(not law(world) for world in sample() for law in LAWS), f"no law misses {step}"
