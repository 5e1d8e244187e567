"""Guard: what the project's guards say of what is proposed, of what a model is shown, and of what comes back.

Rules (GATE section 1):

* Arguments and prompts are looked at after the cheap pass of policy and before the full one; results before they are
  recorded. What is redacted is redacted everywhere: in the record, for the tool, for the model, for the caller.
* Guards of this process look first, in the order of the configuration; what they redact no other guard is shown. Those
  that ask elsewhere look at once, beside each other, and never at what policy denies anyway.
* Each has its own time, and nobody waits longer for it. What is late, raises or is nonsense has failed.
* A result cannot be escalated, because it has happened already: it is withheld.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from flyball.core.effect import REQUIRES, Action
from flyball.core.errors import said
from flyball.core.guard import (
    FAILED,
    GUARD_BLOCKED,
    Edit,
    GuardConfig,
    Looked,
    Screened,
    Stage,
    Subject,
    Unredactable,
    Verdict,
    enforced,
    nonsense,
    passages,
    rewritten,
)
from flyball.core.model import ModelReply, ModelRequest, ToolCall
from flyball.core.origin import UNKNOWN
from flyball.core.outcome import Ended
from flyball.core.proposal import Proposal
from flyball.core.signature import from_json, to_json
from flyball.ports.guard import Guard, Streamed

ARGUMENTS: Mapping[str, Stage] = {
    "tool": "tool_args", "agent": "input", "handoff": "input", "flow": "input", "remember": "memory",
    "recall": "memory",
}  # fmt: skip
OUTPUTS: Mapping[str, Stage] = {
    "tool": "tool_output", "context": "context", "agent": "final_output", "handoff": "final_output",
    "flow": "final_output", "recall": "memory",
}  # fmt: skip
# Whose words the messages of a prompt are; the instructions are the operator's and the rest the model's own.
PROMPT: Mapping[str, Stage] = {"user": "input", "tool": "context"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A guard where it was configured."""

    config: GuardConfig
    guard: Guard


@dataclass(slots=True)
class _Look:
    """What was seen of one subject: the data as it is now, its texts, who said what, the edits that were made."""

    data: Any
    names: bool
    looked: list[Looked] = field(default_factory=list)
    made: list[list[Edit]] = field(default_factory=list)
    escalated: dict[str, str] = field(default_factory=dict)
    changed: bool = False

    @property
    def blocked(self) -> bool:
        return any(one.enforced == "block" for one in self.looked)


class Guards:
    """The configured guards. There is no such station where none is configured."""

    def __init__(self, placed: Sequence[Placed]) -> None:
        self._placed = tuple(placed)

    def reads(self, p: Proposal) -> bool:
        """Does any guard look at what this proposes?"""
        if p.action.kind == "model":
            return bool(self._at("input", p.action) or self._at("context", p.action))
        stage = ARGUMENTS.get(p.action.kind)
        return stage is not None and bool(self._at(stage, p.action))

    def _at(self, stage: Stage, action: Action) -> list[Placed]:
        name = action.name.removesuffix(REQUIRES) if action.kind == "tool" else None
        return [
            one for one in self._placed
            if stage in one.config.stages and (name is None or not one.config.tools or name in one.config.tools)
        ]  # fmt: skip

    # before ----------------------------------------------------------------------------------------------------------
    async def proposal(self, p: Proposal, *, elsewhere: bool) -> Proposal:
        """The proposal as it may go on: redacted, with what every guard said. `elsewhere`: may it be shown to guards
        outside this process?"""
        if p.action.kind == "model":
            return await self._prompt(p, elsewhere)
        look = _Look(p.arguments, names=False)
        await self._look(look, ARGUMENTS[p.action.kind], p, elsewhere=elsewhere)
        p = _screened(p, look)
        if not look.changed:
            return p
        labels = {n: p.labels.get(n, UNKNOWN) if p.arguments.get(n) == v else UNKNOWN for n, v in look.data.items()}
        return replace(p, arguments=look.data, labels=labels)

    async def _prompt(self, p: Proposal, elsewhere: bool) -> Proposal:
        request = p.performer.prompt
        if request is None or p.performer.prompted is None:
            return p
        changed: dict[int, str] = {}
        for role, stage in PROMPT.items():
            at = [n for n, message in enumerate(request.messages) if message.role == role and message.text]
            look = _Look([request.messages[n].text for n in at], names=True)
            await self._look(look, stage, p, elsewhere=elsewhere)
            p = _screened(p, look)
            changed |= dict(zip(at, look.data, strict=True)) if look.changed else {}
        if not changed:
            return p
        return _asking(p, request, changed)

    # after -----------------------------------------------------------------------------------------------------------
    async def result(self, p: Proposal, ended: Ended) -> Ended:
        """What an attempt came to, as it may be recorded and handed on."""
        if p.action.kind == "model":
            return await self._reply(p, ended) if isinstance(ended.value, ModelReply) else ended
        stage = OUTPUTS.get(p.action.kind)
        if stage is None or not self._at(stage, p.action) or not (ended.data is not None or ended.message):
            return ended
        if ended.status != "executed" or ended.result_invalid:
            return await self._message(p, stage, ended)
        look = _Look(ended.data, names=True)
        await self._look(look, stage, p, elsewhere=True, final=True)
        ended = _seen(ended, look)
        if look.blocked:
            return _withheld(ended, look)
        if not look.changed:
            return ended
        signature = p.performer.signature
        try:
            value = from_json(look.data, p.performer.returns if signature is None else signature.returns)
        except Exception as bad:  # noqa: BLE001 - a station boundary: a type of the user's may refuse what is left
            return _withheld(ended, look, f"what is left of it does not fit: {said(bad)}")
        # A fold of an agent or flow comes to what it was before; what was changed in it is made again.
        made = tuple(tuple(batch) for batch in look.made) if p.performer.lasting else ()
        return replace(ended, value=value, data=look.data, edits=made)

    async def _message(self, p: Proposal, stage: Stage, ended: Ended) -> Ended:
        """What a tool said of its failure: the model and the record get it, too."""
        look = _Look(ended.message, names=True)
        await self._look(look, stage, p, elsewhere=True, final=True)
        return replace(_seen(ended, look), message="withheld by a guard" if look.blocked else look.data)

    async def _reply(self, p: Proposal, ended: Ended) -> Ended:
        """What a model answered: its text is an output. In the arguments it proposes only what is redacted is changed
        here; the rest is said at the gate, where they are proposed."""
        reply: ModelReply = ended.value
        text = _Look(reply.text, names=True)
        if self._at("final_output", p.action):
            await self._look(text, "final_output", p, elsewhere=True, final=True)
            ended = _seen(ended, text)
        if text.blocked:
            return _withheld(ended, text)
        calls = tuple([await self._call(p, call) for call in reply.calls])
        if not text.changed and calls == reply.calls:
            return ended
        # The provider's own form of the reply holds what was taken out of ours.
        value = replace(reply, text=text.data, calls=calls, echo=msgspec.UNSET)
        return replace(ended, value=value, data=to_json(value))

    async def _call(self, p: Proposal, call: ToolCall) -> ToolCall:
        if not self._at("tool_args", Action(name=call.name)):
            return call
        try:
            arguments = msgspec.json.decode(call.arguments)
        except msgspec.DecodeError:
            arguments = call.arguments
        where = replace(_where("tool_args", p), action=call.name)
        data, looked = await self.handed_in(Action(name=call.name), where, arguments)
        if not looked:
            return call
        written = data if isinstance(data, str) else msgspec.json.encode(data).decode()
        return replace(call, arguments=written, screened=Screened(looked=looked).signals)

    def scans(self, p: Proposal) -> list[Callable[[str], Sequence[Edit]]]:
        """What looks at an answer while it arrives: the guards of its whole that can. What they say of the whole, they
        say once it is there."""
        here = [one for one in self._at("final_output", p.action) if one.config.mode == "enforce"]
        return [one.guard.edits for one in here if isinstance(one.guard, Streamed)]

    async def handed_in(self, action: Action, where: Subject, data: Any) -> tuple[Any, tuple[Looked, ...]]:
        """Data as it may be kept before it is proposed: what guards of this process redact is redacted, and they are
        named; what else they say of it they say at the gate. `where` has stage and place, and no passages."""
        look = _Look(data, names=not isinstance(data, Mapping))
        for one in self._at(where.stage, action):
            if one.guard.local and one.config.mode == "enforce":
                subject = _shown(where, look)
                verdict, fault = await self._asked(one, subject)
                if verdict.action == "redact":
                    _edit(look, _taken(look, one, subject, (verdict, fault), final=False))
        return look.data, tuple(one for one in look.looked if one.enforced == "redact")

    async def close(self) -> None:
        """Closes every guard."""
        for one in self._placed:
            await one.guard.close()

    # looking ---------------------------------------------------------------------------------------------------------
    async def _look(self, look: _Look, stage: Stage, p: Proposal, *, elsewhere: bool, final: bool = False) -> None:
        here = self._at(stage, p.action)
        for one in here:
            if one.guard.local:
                subject = _shown(_where(stage, p), look)
                _edit(look, _taken(look, one, subject, await self._asked(one, subject), final))
        others = [one for one in here if not one.guard.local] if elsewhere and not look.blocked else []
        if not others:
            return
        subject = _shown(_where(stage, p), look)
        answers = await asyncio.gather(*(self._asked(one, subject) for one in others))
        edits: list[Edit] = []
        for one, answer in zip(others, answers, strict=True):
            edits += _taken(look, one, subject, answer, final)
        _edit(look, edits)

    @staticmethod
    async def _asked(one: Placed, subject: Subject) -> tuple[Verdict, str]:
        """What a guard says in its time, and why it failed where it did: then it says what its fail mode does."""
        if not subject.passages:
            return Verdict(), ""
        try:
            answer = _quiet(one.guard.check(subject))
            verdict = await (answer if one.guard.local else _timed(answer, one.config.timeout_ms / 1000))
            fault = nonsense(verdict, subject.passages)
        except TimeoutError:
            verdict, fault = Verdict(), "timeout"
        except Exception as bad:  # noqa: BLE001 - a station boundary: a guard that raises has failed, as it is configured
            verdict, fault = Verdict(), type(bad).__name__
        if not fault:
            return verdict, ""
        return Verdict(action="block" if one.config.on_error == "closed" else "pass", reason=FAILED), fault


async def _quiet(work: Awaitable[Verdict]) -> Verdict:
    try:
        return await work
    except SystemExit as bad:  # it ends its look, never the process
        raise RuntimeError("it called exit") from bad


async def _timed(work: Any, seconds: float) -> Verdict:
    """The answer in time. In a task of its own: one that ignores its cancellation holds up nobody."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else asks for it
    if not task.done():
        raise TimeoutError
    return task.result()  # type: ignore[no-any-return]


def _where(stage: Stage, p: Proposal) -> Subject:
    place = p.place
    return Subject(
        stage=stage, passages=(), tenant=place.tenant, run=place.run, step=place.path, action=p.action.name,
        release=place.release,
    )  # fmt: skip


def _shown(where: Subject, look: _Look) -> Subject:
    return replace(where, passages=tuple(passages(look.data, names=look.names)))


def _taken(look: _Look, one: Placed, subject: Subject, answer: tuple[Verdict, str], final: bool) -> list[Edit]:
    """Keeps what a guard said and what is enforced of it; gives the edits that are to be made."""
    verdict, fault = answer
    config, done = one.config, enforced(verdict.action, one.config.mode)
    if done == "escalate" and final:
        done = "block"
    wanted = list(verdict.edits) if done in ("redact", "block") else []
    if done == "redact":
        try:
            rewritten(look.data, wanted, names=look.names)
        except Unredactable:
            done, wanted = "block", []
    if done == "escalate":
        look.escalated[config.name] = config.group
    look.looked.append(Looked(
        guard=config.name, version=one.guard.version, stage=subject.stage, verdict=FAILED if fault else verdict.action,
        enforced=done, score=verdict.score, reason=verdict.reason, edits=len(verdict.edits), failed=fault[:64],
    ))  # fmt: skip
    return wanted


def _edit(look: _Look, edits: list[Edit]) -> None:
    if not edits:
        return
    try:
        look.data = rewritten(look.data, edits, names=look.names)
    except Unredactable:
        return  # what is blocked is recorded as far as it can be redacted
    look.made.append(edits)
    look.changed = True


def _screened(p: Proposal, look: _Look) -> Proposal:
    known = p.screened or Screened()
    seen = replace(known, looked=(*known.looked, *look.looked), escalated={**known.escalated, **look.escalated})
    return replace(p, screened=seen)


def _asking(p: Proposal, request: ModelRequest, changed: Mapping[int, str]) -> Proposal:
    """The model call with other texts in some of its messages, also in what is recorded of it."""
    assert p.performer.prompted is not None
    messages = tuple(replace(m, text=changed.get(n, m.text)) for n, m in enumerate(request.messages))
    performer, arguments = p.performer.prompted(replace(request, messages=messages))
    texts = {(m.role, m.text): changed[n] for n, m in enumerate(request.messages) if n in changed}
    new = [{**told, "text": texts.get((told["role"], told["text"]), told["text"])} for told in p.extra.get("new", ())]
    performer = replace(performer, others=p.performer.others)
    return replace(p, performer=performer, arguments=arguments, extra={**p.extra, "new": new})


def _seen(ended: Ended, look: _Look) -> Ended:
    return replace(ended, guards=(*ended.guards, *(one.told for one in look.looked)))


def _withheld(ended: Ended, look: _Look, why: str = "") -> Ended:
    """It happened, and what it returned stays in quarantine."""
    name, reason = next(((o.guard, o.reason) for o in look.looked if o.enforced == "block"), ("", ""))
    message = f"a guard withholds the result: {why or f'{name}: {reason}'}"
    return replace(
        ended, value=None, data=None, code=GUARD_BLOCKED, message=message, result_invalid=True, edits=(),
    )  # fmt: skip
