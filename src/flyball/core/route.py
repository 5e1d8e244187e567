"""Which of several models is asked: rules that an operator writes, and a choice that follows from what is recorded.

Rules:

* The first rule that fits a question says which models may be asked; without one, the route's own list does.
* What may not be asked is left out, with a word for why: by policy, by the rule's region, cost or latency, or because
  it rests. A model that the data may not reach is never a candidate.
* Of the others the first is asked that was tried least often. Fallbacks come behind what is listed.

>>> route = Route(name="desk", models=("small", "large"), rules={"hard": Rule(complexity=600, models=("large",))})
>>> fitting(route, Question(score=700))[0], fitting(route, Question(score=20))[0]
('hard', '')
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from flyball.core.model import ModelConfig, candidates, nearest

Prefer = Literal["listed", "cost", "latency"]
POLICY, REGION, COST, LATENCY, RESTS, FILES = "policy", "region", "cost", "latency", "rests", "files"
REASONS: Final = (POLICY, REGION, COST, LATENCY, RESTS, FILES)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One `[routes.NAME.rules.RULE]`: for which questions, and which models may be asked then.

    It fits where each list that is not empty names what the question has, and its score is at least `complexity`.
    `models` in order (none: the route's own), of these only those in `regions`, of which a call costs at most `max_usd`
    micro-dollars, that answer within `max_latency_ms`.
    """

    roles: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    sensitivities: tuple[str, ...] = ()
    complexity: int = 0
    models: tuple[str, ...] = ()
    prefer: Prefer | None = None
    regions: tuple[str, ...] = ()
    max_usd: int | None = None
    max_latency_ms: int = 0


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One `[routes.NAME]`: an agent names it where it would name a model. `prefer` orders what is listed; within
    `deadline_ms` (0: as long as it takes) a question is answered, by whatever was asked, or it has failed."""

    name: str = ""
    models: tuple[str, ...] = ()
    prefer: Prefer = "listed"
    deadline_ms: int = 0
    rules: Mapping[str, Rule] = {}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What rules look at: who asks, for whom, how sensitive what is shown is, how hard it looks (`core.complexity`)."""

    agent: str = ""
    role: str = ""
    tenant: str = ""
    sensitivity: str = ""
    score: int = 0


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a choice sees it: `usd` the most that this call may cost, in micro-dollars, None where nobody knows;
    `latency_ms` how long its answers took of late, or are expected to, 0 where nobody knows."""

    name: str
    region: str = ""
    usd: int | None = None
    latency_ms: int = 0


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A choice as it is recorded: the route and its rule that fitted (empty: none), the score, all candidates in order,
    why which were left out (a word of REASONS, then the policies), which were tried before, what was chosen."""

    candidates: tuple[str, ...]
    chosen: str
    route: str = ""
    rule: str = ""
    score: int = 0
    left_out: Mapping[str, tuple[str, ...]] = {}
    tried: tuple[str, ...] = ()

    @property
    def told(self) -> dict[str, Any]:
        """As facts of a record."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


def fitting(route: Route, question: Question) -> tuple[str, Rule]:
    """The name of the first rule that fits, and the rule; an empty name and the route's own list where none does."""
    for name, rule in route.rules.items():
        if _fits(rule, question):
            models, prefer = rule.models or route.models, rule.prefer or route.prefer
            return name, msgspec.structs.replace(rule, models=models, prefer=prefer)
    return "", Rule(models=route.models, prefer=route.prefer)


def _fits(rule: Rule, question: Question) -> bool:
    wanted = (
        (rule.roles, question.role), (rule.agents, question.agent), (rule.tenants, question.tenant),
        (rule.sensitivities, question.sensitivity),
    )  # fmt: skip
    return all(not names or has in names for names, has in wanted) and question.score >= rule.complexity


def ordered(rule: Rule, offers: Mapping[str, Offer], configs: Mapping[str, ModelConfig]) -> tuple[str, ...]:
    """The candidates of a rule: what it lists as it prefers them, then their fallbacks."""
    listed = list(dict.fromkeys(rule.models))
    if rule.prefer == "cost":
        listed.sort(key=lambda name: (offers[name].usd is None, offers[name].usd or 0))
    elif rule.prefer == "latency":
        listed.sort(key=lambda name: offers[name].latency_ms)
    return tuple(dict.fromkeys([*listed, *(f for name in listed for f in candidates(configs, name))]))


def objection(rule: Rule, offer: Offer) -> str:
    """Why a rule leaves a model out; empty where it does not."""
    if rule.regions and offer.region not in rule.regions:
        return REGION
    if rule.max_usd is not None and offer.usd is not None and offer.usd > rule.max_usd:
        return COST
    return LATENCY if 0 < rule.max_latency_ms < offer.latency_ms else ""


def by_tries(names: Sequence[str], tried: Sequence[str]) -> list[str]:
    """What may be asked, least tried first, else in order."""
    return sorted(names, key=tried.count)


def mistaken(choice: Choice) -> str:
    """Why a recorded choice does not follow from what is recorded with it; empty where it does."""
    left = [name for name in choice.candidates if name not in choice.left_out]
    if choice.chosen not in choice.candidates:
        return f"{choice.chosen} was no candidate"
    if not left:
        return ""  # it was put before the gate, which says why not
    first = by_tries(left, choice.tried)[0]
    return "" if choice.chosen == first else f"{first} stands before it"


def reach(configs: Mapping[str, ModelConfig], routes: Mapping[str, Route], name: str) -> tuple[str, ...]:
    """Every model that an agent may come to which names this model or route. Raises FlyballError `unknown_model` or
    `fallback_cycle`."""
    route = routes.get(name)
    if route is None:
        return candidates({**configs, **dict.fromkeys(routes, ModelConfig(name=""))}, name)
    listed = [*route.models, *(model for rule in route.rules.values() for model in rule.models)]
    return tuple(dict.fromkeys(found for model in listed for found in candidates(configs, model)))


def check_routes(
    configs: Mapping[str, ModelConfig], routes: Mapping[str, Route]
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What is wrong with routes: the key below `routes`, what, and how to mend it."""
    for name, route in routes.items():
        if name in configs:
            yield (name,), f"there is a model {name}, too", "An agent names either: call one of them otherwise."
        if not route.models:
            yield (name,), "models is missing", 'Write models = ["...", "..."].'
        lists = [(("models",), route.models), *((("rules", n, "models"), r.models) for n, r in route.rules.items())]
        for key, models in lists:
            for model in models:
                if model not in configs:
                    near = nearest(model, configs)
                    fix = f"Did you mean {near}?" if near else f"Add [models.{model}]."
                    yield (name, *key), f"there is no [models.{model}]", fix
