"""Four verdicts on a two-valued engine: the loop over curable forbids (GATE section 3).

Rules, in the order of `decide`:

1. What the engine allows without any approval is allowed: a full allow implies a plain one.
2. Permits and plain forbids must allow the *original* arguments: asking for more never helps.
3. Modifiers that fire, without approvals, are applied until none fires; each at most once; each time the arguments are
   validated again. Modifiers that overlap deny.
4. Only the approvals of forbids that still fire are supposed, and with them the engine must allow.
5. No cure used: `allow`. Modifiers only: `modify`. Approvals that are not held yet: `require_approval`. An error, an
   answer that is missing, anything else: `deny`.

>>> decide(
...     {"cents": 5}, lambda arguments, approvals, plain: (Answer(allow=True, determining=("project/read",)),), {}
... ).outcome
'allow'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.modify import apply, conflict
from flyball.core.policy import Answer, Cure, Layer, Modifier, Outcome

Approvals = Mapping[Layer, frozenset[str]]
Ask = Callable[[Mapping[str, Any], Approvals, bool], tuple[Answer, ...]]
"""`ask(arguments, approvals by layer, plain)`: one answer for every link of the chain and every layer there is."""
Revalidate = Callable[[Mapping[str, Any]], "Mapping[str, Any] | str | None"]
"""Asked of modified arguments: a text refuses them, a mapping is their validated form, None says that they stand."""

_NOBODY: Final[Approvals] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict and what it rests on. `arguments` are final: what may run, and what an approver is asked about.

    `determining`: ids `layer/id` of the permits and cured forbids, or of what denied. `cures`: the approvals that
    these arguments need, held ones included; `missing` those of them that are not held. `modifiers`: what was
    applied, in order. `rounds`: how often the engine was asked.
    """

    outcome: Outcome
    arguments: Mapping[str, Any]
    determining: tuple[str, ...] = ()
    cures: tuple[Cure, ...] = ()
    missing: tuple[Cure, ...] = ()
    modifiers: tuple[Cure, ...] = ()
    errors: tuple[str, ...] = ()
    rounds: int = 0
    reason: str = ""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that are still asked for, `"finance"` or `"finance:2"`, without those that another one implies."""
        layers = {c.layer for c in self.missing}
        named = (strongest(c.approval for c in self.missing if c.layer == layer) for layer in layers)
        return tuple(sorted({group for groups in named for group in groups}))

    @property
    def because(self) -> tuple[str, ...]:
        """The forbids behind the approvals that are asked for, as `layer/id`."""
        return tuple(sorted(f"{c.layer}/{c.policy}" for c in self.missing))


class _Round(msgspec.Struct, kw_only=True):
    # The state of one decision; it never leaves `decide`.
    arguments: Mapping[str, Any]
    ask: Ask
    rounds: int = 0

    def answers(self, approvals: Approvals = _NOBODY, *, plain: bool = False) -> _Answers:
        self.rounds += 1
        return _Answers(given=self.ask(self.arguments, approvals, plain))

    def denied(self, reason: str, answers: _Answers | None = None, applied: tuple[Cure, ...] = ()) -> Decision:
        return Decision(
            outcome="deny", arguments=self.arguments, reason=reason, rounds=self.rounds, modifiers=applied,
            determining=answers.against if answers else (), errors=answers.errors if answers else (),
        )  # fmt: skip


class _Answers(msgspec.Struct, frozen=True, kw_only=True):
    given: tuple[Answer, ...]

    @property
    def allow(self) -> bool:
        # No answer at all is no permission.
        return bool(self.given) and all(a.allow and not a.errors for a in self.given)

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(sorted({e for a in self.given for e in a.errors}))

    @property
    def against(self) -> tuple[str, ...]:
        return tuple(sorted({d for a in self.given if not a.allow for d in a.determining}))

    @property
    def permits(self) -> tuple[str, ...]:
        return tuple(sorted({d for a in self.given if a.allow for d in a.determining}))


def closure(approvals: frozenset[str]) -> frozenset[str]:
    """What a set of approvals contains once spelt out: three people of finance are also two, and one."""
    spelt = set(approvals)
    for approval in approvals:
        group, _, people = approval.partition(":")
        if people.isdigit():
            spelt |= {group} | {f"{group}:{n}" for n in range(2, int(people))}
    return frozenset(spelt)


def strongest(approvals: Iterable[str]) -> frozenset[str]:
    """The same set without what another member already implies."""
    wanted = frozenset(approvals)
    return frozenset(a for a in wanted if not any(a != b and a in closure(frozenset({b})) for b in wanted))


def decide(
    arguments: Mapping[str, Any],
    ask: Ask,
    cures: Mapping[str, Cure],
    revalidate: Revalidate = lambda _: None,
    given: Approvals = _NOBODY,
) -> Decision:
    """The verdict on one proposal.

    `cures`: every curable forbid by `layer/id`. `given`: approvals that are held for exactly these `arguments`; they
    count only while no modifier changes them, so ask again with the final arguments to consume an approval of those.
    Never raises for what a policy or a modifier does: that denies.
    """
    state = _Round(arguments=arguments, ask=ask)
    first = state.answers()
    if first.allow:
        return Decision(
            outcome="allow", arguments=arguments, determining=first.permits, rounds=state.rounds, reason="permitted"
        )
    refused = _refuse_plainly(state, first)
    if refused is not None:
        return refused
    changed = _modify(state, first, cures, revalidate)
    if isinstance(changed, Decision):
        return changed
    answers, applied = changed
    needed = _suppose(answers, cures)
    return _confirm(state, needed, applied, _NOBODY if applied else given)


def _refuse_plainly(state: _Round, first: _Answers) -> Decision | None:
    if first.errors:
        return state.denied("a policy could not be evaluated", first)
    plain = state.answers(plain=True)
    if plain.allow:
        return None
    if plain.errors:
        return state.denied("a policy could not be evaluated", plain)
    return state.denied("a policy forbids it" if plain.against else "no policy permits it", plain)


def _modify(
    state: _Round, answers: _Answers, cures: Mapping[str, Cure], revalidate: Revalidate
) -> tuple[_Answers, tuple[Cure, ...]] | Decision:
    applied: tuple[Cure, ...] = ()
    while firing := _firing_modifiers(answers, cures):
        if any(cure in applied for cure in firing):
            return state.denied("a modifier does not lift its own forbid", answers, applied)
        applied += firing
        refusal = _change(state, firing, applied, revalidate)
        if refusal:
            return state.denied(refusal, answers, applied)
        answers = state.answers()
        if answers.errors:
            return state.denied("a policy could not be evaluated", answers, applied)
    return answers, applied


def _change(state: _Round, firing: tuple[Cure, ...], applied: tuple[Cure, ...], revalidate: Revalidate) -> str:
    clash = conflict(_modifiers(applied))
    if clash:
        return f"two modifiers overlap: {clash[0].name} {clash[0].pointer} and {clash[1].name} {clash[1].pointer}"
    try:
        changed = apply(state.arguments, _modifiers(firing))
        valid = revalidate(changed)
    except FlyballError as bad:
        return str(bad)
    if isinstance(valid, str):
        return valid
    state.arguments = changed if valid is None else valid
    return ""


def _modifiers(cures: tuple[Cure, ...]) -> list[Modifier]:
    return [c.modifier for c in cures if c.modifier]


def _firing_modifiers(answers: _Answers, cures: Mapping[str, Cure]) -> tuple[Cure, ...]:
    return tuple(cures[p] for p in answers.against if p in cures and cures[p].modifier)


def _suppose(answers: _Answers, cures: Mapping[str, Cure]) -> tuple[Cure, ...]:
    return tuple(cures[p] for p in answers.against if p in cures and cures[p].approval)


def _confirm(state: _Round, needed: tuple[Cure, ...], applied: tuple[Cure, ...], given: Approvals) -> Decision:
    held: dict[Layer, frozenset[str]] = {layer: closure(names) for layer, names in given.items()}
    missing = tuple(c for c in needed if c.approval not in held.get(c.layer, frozenset()))
    answers = state.answers(_supposed(needed) if missing else held)
    if not answers.allow:
        why = "a policy could not be evaluated" if answers.errors else "a policy forbids it, whoever approves"
        return state.denied(why, answers, applied)
    cured = tuple(f"{c.layer}/{c.policy}" for c in (*needed, *applied))
    return Decision(
        outcome="require_approval" if missing else "modify" if applied else "allow", arguments=state.arguments,
        determining=tuple(sorted({*answers.permits, *cured})), cures=needed, missing=missing, modifiers=applied,
        rounds=state.rounds, reason=_why(needed, missing, applied),
    )  # fmt: skip


def _supposed(needed: tuple[Cure, ...]) -> Approvals:
    supposed: dict[Layer, frozenset[str]] = {}
    for cure in needed:
        supposed[cure.layer] = closure(supposed.get(cure.layer, frozenset()) | {cure.approval})
    return supposed


def _why(needed: tuple[Cure, ...], missing: tuple[Cure, ...], applied: tuple[Cure, ...]) -> str:
    causes = ", ".join(sorted({c.reason or c.policy for c in (missing or needed or applied)}))
    word = "an approval is needed" if missing else "approved" if needed else "modified" if applied else "permitted"
    return f"{word}: {causes}" if causes else word
