"""Context: reads an agent's sources and recalls its memories through the gate, and compiles what they said.

Every source is an action of its own in the log (`Action::"context"`, resource `Source::"NAME"`); what it answered is
recorded before any model sees it, so a replay compiles the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, cast

import msgspec
from msgspec.structs import replace

from flyball.core.agent import Agent
from flyball.core.budget import ZERO
from flyball.core.call import Call
from flyball.core.context import Context, Excerpt, Lacking, Part, Read, compile_context
from flyball.core.effect import Action
from flyball.core.memory import Recall, flagged, ordered
from flyball.core.policy import Node, Uid
from flyball.core.proposal import Notes, Performer, Variant
from flyball.core.result import Executed, Failed
from flyball.core.session import History, Remembered
from flyball.core.signature import to_json
from flyball.core.source import Passage, Source, highest
from flyball.ports.clock import Clock

Prepared = tuple[Action, Performer, Mapping[str, Any]]
# What of a recorded answer the system of record vouches for: see `core.context.Read`.
TRUSTED = frozenset({"/trusted"})
# And of the earlier turns of a session: what its principal named in them.
SAID = frozenset({"/earlier"})
Earlier = Callable[[str, str, int], Remembered]


def vouched(source: Source[Any]) -> frozenset[str]:
    """The places of a source's recorded answer that can be trusted."""
    return TRUSTED | SAID if isinstance(source, History) else TRUSTED


class Recalls(Protocol):
    """Prepares what an agent recalls."""

    def recalls(self, scene: Any, query: str, wanted: Recall, /) -> Sequence[Prepared]:
        """One proposal for each scope."""
        ...


class Contexts:
    """Gives agents their context. `room`: how many tokens all sources of one agent may take together; `earlier`: at
    most so many turns before a tenant's run, as its log tells them."""

    def __init__(self, clock: Clock, room: int, earlier: Earlier, memories: Recalls) -> None:
        self._clock, self._room, self._earlier, self._memories = clock, room, earlier, memories

    async def of(self, desk: Any, agent: Agent[Any, Any], input: Any) -> Context:
        """An agent's compiled context; raises Failed `context_incomplete`, `context_stale`."""
        sources, wanted = agent.context, agent.memory
        proposed = [self._proposal(source, input) for source in sources]
        if wanted is not None:
            proposed += self._memories.recalls(desk.scene, text_of(input), wanted)
        if not proposed:
            return Context()
        steps = [desk.perform(*one, {}) for one in proposed]
        told = (await desk.gather(*steps)) if len(steps) > 1 else (await steps[0],)
        parts = [_part(s, t) for s, t in zip(sources, told, strict=False)]
        if wanted is not None:
            parts.append(_remembered(wanted, told[len(sources) :]))
        made = compile_context(parts, self._room)
        if isinstance(made, Lacking):
            raise Failed(made.reason, f"source {made.source}: {made.detail}")
        return made

    def _proposal(self, source: Source[Any], input: Any) -> Prepared:
        asked = source.signature.names[0]

        async def read(call: Call, **arguments: Any) -> Read:
            if isinstance(source, History):
                return self._earlier(call.tenant, call.run or "", source.turns)
            return self._read(source, call, await source.function(call, arguments[asked]))

        returns = Remembered if isinstance(source, History) else Read
        signature = replace(source.signature, returns=returns, trusted=vouched(source))
        node = Node(
            uid=Uid("Source", source.name), attrs={"sensitivity": source.sensitivity, "trusted": source.trusted}
        )
        performer = Performer(
            perform=cast("Any", read), signature=signature, functions=(source.function,),
            variant=lambda _: Variant(resource=node.uid, entities=(node,), reserved=ZERO),
            notes=partial(_noted, source),
        )  # fmt: skip
        return source.action, performer, {asked: to_json(input)}

    def _read(self, source: Source[Any], call: Call, passages: Any) -> Read:
        trusted, untrusted = list[Excerpt](), list[Excerpt]()
        if not isinstance(passages, list | tuple):
            raise TypeError(f"{source.name} gave {type(passages).__name__}, not a list of passages")
        for place, passage in enumerate(passages):
            if not isinstance(passage, Passage):
                raise TypeError(f"{source.name} gave {type(passage).__name__} at {place}, not a Passage")
            if passage.tenant and passage.tenant != call.tenant:
                return Read(at=self._clock.now(), tenant=passage.tenant)
            vouched = source.trusted if passage.trusted is None else passage.trusted
            excerpt = Excerpt(place=place, text=passage.text, ref=passage.ref, as_of=_micros(passage.as_of))
            (trusted if vouched else untrusted).append(excerpt)
        return Read(at=self._clock.now(), trusted=tuple(trusted), untrusted=tuple(untrusted))


def _noted(source: Source[Any], read: Read) -> Notes:
    label = highest([source.sensitivity, read.sensitivity if isinstance(read, Remembered) else source.sensitivity])
    return Notes(facts={"sensitivity": label}) if read.trusted or read.untrusted else Notes()


def text_of(input: Any) -> str:
    """An agent's input as its model is shown it, and as its memories are asked."""
    return input if isinstance(input, str) else msgspec.json.encode(input).decode()


def _remembered(wanted: Recall, told: Sequence[Any]) -> Part:
    """What was recalled, as a part of the context that gives way before all others. What could not be read, or was
    denied, is not there: a memory is nothing that an agent must know."""
    found = [m for one in told if isinstance(one, Executed) for m in one.value.memories]
    best = flagged(ordered(found))[: wanted.top_k]
    excerpts = [
        (m.trusted, Excerpt(place=n, text=m.text, ref=m.about, as_of=_micros(m.created))) for n, m in enumerate(best)
    ]
    read = Read(
        at=max((e.as_of or 0 for _, e in excerpts), default=0), trusted=tuple(e for vouched, e in excerpts if vouched),
        untrusted=tuple(e for vouched, e in excerpts if not vouched),
    )  # fmt: skip
    return Part(
        source="memory", tokens=wanted.tokens, required=False, sensitivity=highest([m.sensitivity for m in best]),
        read=read,
    )  # fmt: skip


def _micros(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"as_of {moment!r} has no time zone")
    return int(moment.timestamp() * 1_000_000)


def _part(source: Source[Any], told: Any) -> Part:
    age = None if source.max_age is None else source.max_age // timedelta(microseconds=1)
    part = Part(
        source=source.name, tokens=source.tokens, required=source.required, max_age=age, sensitivity=source.sensitivity
    )
    if isinstance(told, Executed):
        seen = told.value.sensitivity if isinstance(told.value, Remembered) else source.sensitivity
        return replace(part, read=told.value, sensitivity=highest([source.sensitivity, seen]))
    return replace(part, problem=f"{told.reason}: {told.what}" if told.what else told.reason)
