"""Model calls as actions: read, egress, awaited at T1, their greatest cost reserved, their answer durable before use.

Which model is asked is chosen for each attempt (see `core.route`): by the route that the agent names, or of the model
that it names and its fallbacks. Each is gated as its own resource. An unknown price is denied: it cannot be reserved.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from flyball.core.agent import Agent
from flyball.core.artifact import Artifact
from flyball.core.budget import Amounts
from flyball.core.call import Call
from flyball.core.complexity import complexity
from flyball.core.context import Context
from flyball.core.effect import Action, Retry
from flyball.core.errors import FlyballError
from flyball.core.model import ModelConfig, ModelError, ModelReply, ModelRequest, OnDelta
from flyball.core.policy import Node, Uid
from flyball.core.prices import PriceTable, bound_tokens, cost, greatest, lookup
from flyball.core.proposal import Performer, Way
from flyball.core.route import FILES, Choice, Offer, Question, Route, fitting, objection, ordered, reach
from flyball.core.source import highest
from flyball.ports.clock import Clock
from flyball.ports.model import ModelPort

MAX_ATTEMPTS = 4
# Of the last answers' times one in four is the newest: what was slow once is forgotten after a few that were not.
WEIGHT = 4


class Models:
    """The configured models and routes of a project, their ports and their prices."""

    def __init__(
        self, configs: Mapping[str, ModelConfig], ports: Mapping[str, ModelPort], prices: PriceTable, clock: Clock,
        routes: Mapping[str, Route] = {},
    ) -> None:  # fmt: skip
        self.configs, self._ports, self._prices, self.clock, self.routes = configs, ports, prices, clock, routes
        self._took: dict[str, int] = {}
        self._places = {name: asyncio.Semaphore(config.at_once) for name, config in configs.items()}
        for name in routes:
            together = sum(configs[each].at_once for each in reach(configs, routes, name))
            self._places[name] = asyncio.Semaphore(together)

    def place(self, agent: Agent[Any, Any]) -> asyncio.Semaphore:
        """Where a call of an agent's model or route waits for its place, before it is decided: a thousand runs that
        were interrupted ask again a few at a time."""
        reach(self.configs, self.routes, agent.model)  # it says what is wrong with the name
        return self._places[agent.model]

    def prepare(
        self, agent: Agent[Any, Any], request: ModelRequest, context: Context
    ) -> tuple[Action, Performer, Mapping[str, Any]]:
        """The governed call of a request: what the gate is asked about, and how it is carried out. `context` is what
        of the request came from sources: policy sees its labels."""
        asking = Asking(self, agent, request, context)
        names = reach(self.configs, self.routes, agent.model)
        longest = max(self.configs[n].timeout_ms for n in names)
        action = Action(
            name="model", kind="model", effect="read", egress=True, timeout_ms=longest,
            retry=Retry(attempts=max(MAX_ATTEMPTS, len(names))),
        )  # fmt: skip
        performer = msgspec.structs.replace(asking.way(names[0]).performer, ways=asking)
        return action, performer, asking.arguments

    def offer(self, name: str, tokens: int) -> Offer:
        """A model as a choice sees it; `tokens` bound what it is asked."""
        config, reserved = self.configs[name], self.reserved(name, tokens)
        latency = self._took.get(name, config.latency_ms)
        usd = None if reserved is None else reserved.usd
        return Offer(name=name, region=config.region, usd=usd, latency_ms=latency)

    def reserved(self, name: str, tokens: int) -> Amounts | None:
        """The most that a call of a model can use; None where it has no price."""
        config = self.configs[name]
        price = lookup(self._prices, config.priced_as)
        if price is None:
            return None
        return Amounts(tokens=tokens + config.max_tokens, usd=greatest(tokens, config.max_tokens, price))

    def used(self, name: str, reply: ModelReply) -> Amounts:
        """What a call of a model came to."""
        price = lookup(self._prices, self.configs[name].priced_as)
        usd = cost(reply.usage, price) if price else 0
        return Amounts(tokens=reply.usage.input + reply.usage.output, usd=usd)

    async def complete(self, name: str, request: ModelRequest, on_delta: OnDelta | None) -> ModelReply:
        """Asks a model; raises ModelError. How long it took is remembered."""
        config, port, begun = self.configs[name], self._ports[name], self.clock.now()
        reply = await (port.complete(request, on_delta) if on_delta and config.stream else port.complete(request))
        took = (self.clock.now() - begun) // 1_000
        self._took[name] = took if name not in self._took else (self._took[name] * (WEIGHT - 1) + took) // WEIGHT
        return reply

    @property
    def priced_by(self) -> str:
        """The digest of the prices."""
        return self._prices.digest

    def priced(self, name: str) -> bool:
        """Has this configured model a price?"""
        return lookup(self._prices, self.configs[name].priced_as) is not None

    @property
    def scripted(self) -> bool:
        """Is any of the models a script? Every surface says so."""
        return any(port.scripted for port in self._ports.values())

    async def close(self) -> None:
        """Closes every port."""
        for port in self._ports.values():
            await port.close()


class Asking:
    """One question, and the models it may go to; implements `core.proposal.Ways`."""

    def __init__(self, models: Models, agent: Agent[Any, Any], request: ModelRequest, context: Context) -> None:
        self._models, self._agent, self._request, self._context = models, agent, request, context
        self._tokens, self._files = bound_tokens(request), request.artifacts
        self._sensitivity = highest([context.sensitivity, *(file.sensitivity for file in self._files)])
        self._route = models.routes.get(agent.model) or Route(models=(agent.model,))
        self._begun = 0
        whole = msgspec.json.encode((request.messages, request.tools, request.output_schema))
        self.arguments: Mapping[str, Any] = {
            "model": agent.model, "agent": agent.name, "role": agent.role, "messages": len(request.messages),
            "tokens": self._tokens, "digest": hashlib.sha256(whole).hexdigest(), "sensitivity": self._sensitivity,
            "sources": list(context.sources),
        }  # fmt: skip

    def listed(self, tenant: str) -> tuple[Choice, Mapping[str, str]]:
        """The candidates in order, nothing chosen yet; and why its rule leaves which of them out."""
        models, route, score = self._models, self._route, 0
        if route.name:
            score = complexity(self._request).score
        question = Question(
            agent=self._agent.name, role=self._agent.role, tenant=tenant, sensitivity=self._sensitivity,
            score=score,
        )  # fmt: skip
        name, rule = fitting(route, question)
        offers = {
            each: models.offer(each, self._tokens) for each in reach(models.configs, models.routes, self._agent.model)
        }
        order = ordered(rule, offers, models.configs)
        blind = [each for each in order if self._untaken(each) is not None]
        unfit = {} if len(blind) == len(order) else dict.fromkeys(blind, FILES)  # where all are, the call says so
        unfit |= {each: why for each in order if (why := objection(rule, offers[each]))}
        return Choice(candidates=order, chosen="", route=route.name, rule=name, score=score), unfit

    def way(self, name: str) -> Way:
        """One of them."""
        models, config = self._models, self._models.configs[name]
        perform = partial(self._perform, name)
        uid = Uid("Model", name)
        node = Node(uid=uid, attrs={"region": config.region, "vendor": config.vendor or config.adapter})
        performer = Performer(
            perform=perform, usage=lambda reply, _: models.used(name, reply), returns=ModelReply,
            reserved=models.reserved(name, self._tokens), facts={"prices": models.priced_by},
            prompt=self._request, prompted=partial(self._prompted, name),
            streaming=(lambda on_delta: partial(perform, on_delta=on_delta)) if config.stream else None,
        )  # fmt: skip
        return Way(resource=uid, entities=(node,), performer=performer)

    def _prompted(self, name: str, request: ModelRequest) -> tuple[Performer, Mapping[str, Any]]:
        other = Asking(self._models, self._agent, request, self._context)
        other._begun = self._begun
        return other.way(name).performer, other.arguments

    async def _perform(self, name: str, call: Call, _: Any, on_delta: OnDelta | None = None) -> ModelReply:
        config, left = self._models.configs[name], self._left()
        asked = msgspec.structs.replace(
            self._request, model=config.model, max_tokens=config.max_tokens,
            temperature_milli=config.temperature_milli, deadline_ms=left or 0, traceparent=call.traceparent,
        )  # fmt: skip
        try:
            if left is not None and left <= 0:
                what = f"no answer within {self._route.deadline_ms} ms, the deadline of route {self._route.name}"
                raise ModelError("timeout", what, sent=False, retryable=False)
            if self._files:
                asked = msgspec.structs.replace(asked, files=await self._bytes(name, call))
            return await self._models.complete(name, asked, on_delta)
        except ModelError as bad:
            left = self._left()
            if left is not None and left <= (bad.retry_after_ms or 0):
                bad.retryable, bad.over = False, True
            raise

    def _untaken(self, name: str) -> Artifact | None:
        config = self._models.configs[name]
        return next((file for file in self._files if not config.takes(file.media_type)), None)

    async def _bytes(self, name: str, call: Call) -> dict[str, bytes]:
        """The files of this question; raises ModelError where the model takes none of a type, or one is not there."""
        untaken = self._untaken(name)
        if untaken is not None:
            what, why = f"model {name} takes no {untaken.media_type}", f"the question shows it {untaken.name}"
            fix = f"use a model that does, or say so: [models.{name}] files"
            raise ModelError("bad_request", what, why, fix, sent=False)
        try:
            return {file.digest: await call.artifacts.get(file) for file in self._files}
        except FlyballError as bad:
            raise ModelError("bad_request", bad.what, bad.why, bad.fix, sent=False) from bad

    def _left(self) -> int | None:
        """How many milliseconds are left for this question, from when a model was first asked; None: no limit."""
        if not self._route.deadline_ms:
            return None
        now = self._models.clock.now()
        self._begun = self._begun or now
        return self._route.deadline_ms - (now - self._begun) // 1_000
