"""Model calls as actions: read, egress, awaited at T1, their greatest cost reserved, their answer durable before use.

Attempt n asks the n-th candidate: the configured model, then its fallbacks. Each is gated as its own resource, so a
model that the data may not reach is denied even as a fallback. An unknown price is denied: it cannot be reserved.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from flyball.core.agent import Agent
from flyball.core.budget import Amounts
from flyball.core.call import Call
from flyball.core.context import Context
from flyball.core.effect import Action, Retry
from flyball.core.model import ModelConfig, ModelReply, ModelRequest, OnDelta, candidates
from flyball.core.policy import Node, Uid
from flyball.core.prices import PriceTable, bound_tokens, cost, greatest, lookup
from flyball.core.proposal import Performer, Variant
from flyball.ports.model import ModelPort

MAX_ATTEMPTS = 4


class Models:
    """The configured models of a project, their ports and their prices."""

    def __init__(self, configs: Mapping[str, ModelConfig], ports: Mapping[str, ModelPort], prices: PriceTable) -> None:
        self._configs, self._ports, self._prices = configs, ports, prices
        self._places = {name: asyncio.Semaphore(config.at_once) for name, config in configs.items()}

    def place(self, agent: Agent[Any, Any]) -> asyncio.Semaphore:
        """Where a call of an agent's model waits for its place, before it is decided: a thousand runs that were
        interrupted ask again a few at a time."""
        return self._places[candidates(self._configs, agent.model)[0]]

    def prepare(
        self, agent: Agent[Any, Any], request: ModelRequest, context: Context
    ) -> tuple[Action, Performer, Mapping[str, Any]]:
        """The governed call of a request: what the gate is asked about, and how it is carried out. `context` is what
        of the request came from sources: policy sees its labels."""
        names = candidates(self._configs, agent.model)
        tokens = bound_tokens(request)
        digest = hashlib.sha256(
            msgspec.json.encode((request.messages, request.tools, request.output_schema))
        ).hexdigest()
        arguments = {
            "model": agent.model, "agent": agent.name, "role": agent.role, "messages": len(request.messages),
            "tokens": tokens, "digest": digest, "sensitivity": context.sensitivity, "sources": list(context.sources),
        }  # fmt: skip

        async def perform(call: Call, _: Any, on_delta: OnDelta | None = None) -> ModelReply:
            config = self._configs[_nth(names, call.attempt)]
            asked = msgspec.structs.replace(
                request, model=config.model, max_tokens=config.max_tokens, temperature_milli=config.temperature_milli,
                traceparent=call.traceparent,
            )  # fmt: skip
            port = self._ports[config.name]
            return await (port.complete(asked, on_delta) if on_delta and config.stream else port.complete(asked))

        def variant(attempt: int) -> Variant:
            return self._variant(self._configs[_nth(names, attempt)], tokens)

        def used(reply: ModelReply, attempt: int) -> Amounts:
            price = lookup(self._prices, self._configs[_nth(names, attempt)].priced_as)
            usd = cost(reply.usage, price) if price else 0
            return Amounts(tokens=reply.usage.input + reply.usage.output, usd=usd)

        streams = any(self._configs[n].stream for n in names)
        longest = max(self._configs[n].timeout_ms for n in names)
        action = Action(
            name="model", kind="model", effect="read", egress=True, timeout_ms=longest,
            retry=Retry(attempts=max(MAX_ATTEMPTS, len(names))),
        )  # fmt: skip
        performer = Performer(
            perform=perform, usage=used, returns=ModelReply, variant=variant, alternatives=len(names),
            reserved=self._variant(self._configs[names[0]], tokens).reserved, facts={"prices": self._prices.digest},
            prompt=request, prompted=lambda other: self.prepare(agent, other, context)[1:],
            streaming=(lambda on_delta: partial(perform, on_delta=on_delta)) if streams else None,
        )  # fmt: skip
        return action, performer, arguments

    def _variant(self, config: ModelConfig, tokens: int) -> Variant:
        uid = Uid("Model", config.name)
        attrs = {"region": config.region, "vendor": config.vendor or config.adapter}
        price = lookup(self._prices, config.priced_as)
        reserved = None
        if price is not None:
            usd = greatest(tokens, config.max_tokens, price)
            reserved = Amounts(tokens=tokens + config.max_tokens, usd=usd)
        return Variant(resource=uid, entities=(Node(uid=uid, attrs=attrs),), reserved=reserved)

    def priced(self, name: str) -> bool:
        """Has this configured model a price?"""
        return lookup(self._prices, self._configs[name].priced_as) is not None

    @property
    def scripted(self) -> bool:
        """Is any of the models a script? Every surface says so."""
        return any(port.scripted for port in self._ports.values())

    async def close(self) -> None:
        """Closes every port."""
        for port in self._ports.values():
            await port.close()


def _nth(names: tuple[str, ...], attempt: int) -> str:
    # After the last fallback the first model is asked again: it may have recovered.
    return names[(attempt - 1) % len(names)]
