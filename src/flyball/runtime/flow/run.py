"""Run: what a flow is handed. Every `run.*` gives a step whose place in the log is fixed when it is made.

Flows are replayed: time and chance come from `now`, `random` and `uuid`, which the log gives back; waiting is a row,
not a coroutine. A step awaited in a task that the run did not make is refused, because its order could not be replayed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, overload
from uuid import UUID

from typing_extensions import TypeForm, TypeVar

from flyball.core.agent import Agent
from flyball.core.effect import Action
from flyball.core.errors import FlyballError, Superseded
from flyball.core.flow import Flow
from flyball.core.guard import NOTHING_SAID, Signal
from flyball.core.identity import Principal
from flyball.core.limits import Limits, written
from flyball.core.memory import Memory, Recalled, Remembered, Skipped, Written, remembering
from flyball.core.memory import Scope as Scope_
from flyball.core.proposal import Performer
from flyball.core.result import Blocked, Executed, Failed
from flyball.core.signals import amount
from flyball.core.signature import from_json, schema_for, to_json
from flyball.core.steps import generation_of
from flyball.core.tool import Tool
from flyball.runtime.flow.activation import Activation, Branch, Prepared
from flyball.runtime.flow.ask import Wanted, ask_person
from flyball.runtime.flow.attempt import Attempt, because
from flyball.runtime.flow.bind import body_of, bound, tool_performer
from flyball.runtime.flow.change import changed_since
from flyball.runtime.flow.following import heir
from flyball.runtime.flow.scene import Scene
from flyball.runtime.flow.signal import signalled
from flyball.runtime.flow.state import reduce
from flyball.runtime.flow.step import Continued, Halted, Step, Suspended
from flyball.runtime.flow.timers import first_of, pause_until, unbroken

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the API's name
O = TypeVar("O")  # noqa: E741
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
S = TypeVar("S", default=None)

# A moment as a float would lose microseconds, and a run wake before it.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Think = Callable[[Any, Agent[Any, Any], Any], Coroutine[Any, Any, Any]]


class Run(Generic[S]):
    """One branch of a run, as the flow in it sees it."""

    def __init__(self, activation: Activation, branch: Branch, think: Think) -> None:
        self._activation, self._branch, self._think = activation, branch, think
        self._steps = branch.steps

    @property
    def id(self) -> str:
        """The run's id."""
        return self._activation.row.id

    @property
    def principal(self) -> Principal:
        """Who this run acts for."""
        return self._activation.authority.principal

    @property
    def tenant(self) -> str:
        """The run's tenant."""
        return self._activation.tenant

    @property
    def state(self) -> S:
        """What `update` has made of the state."""
        return self._activation.state  # type: ignore[no-any-return]

    @property
    def left(self) -> Limits:
        """What remains of the run's limits."""
        return written(self._activation.left())

    # actions ---------------------------------------------------------------------------------------------------------
    def call(self, tool: Tool[P, R], *args: P.args, **kw: P.kwargs) -> Step[R]:
        """Proposes a tool call; gives its value or raises Blocked or Failed."""
        return self._value(self._attempt(tool, bound(tool, args, kw)))

    def attempt(self, tool: Tool[P, R], *args: P.args, **kw: P.kwargs) -> Step[Executed[R] | Blocked | Failed]:
        """Proposes a tool call; gives Executed, Blocked or Failed as a value."""
        return self._told(self._attempt(tool, bound(tool, args, kw)))

    def attempt_raw(
        self, tool: Tool[..., Any], arguments: Mapping[str, Any], screened: Mapping[str, Signal] = NOTHING_SAID,
        stated: str = "",
    ) -> Step[Executed[Any] | Blocked | Failed]:  # fmt: skip
        """What a model proposed, as plain data: the gate checks it like everything else. `screened`: what guards said
        of it when it was still as it was written; `stated`: the reason that the model gave."""
        return self._told(self._attempt(tool, arguments, stated, screened))

    def perform(
        self, action: Any, performer: Performer, arguments: Mapping[str, Any], extra: Mapping[str, Any]
    ) -> Step[Executed[Any] | Blocked | Failed]:
        """An action that is no tool: a model call."""
        return self._told(Attempt(self._activation, self._branch, action, lambda _: performer, arguments, extra))

    def agent(self, agent: Agent[I, O], input: I, /) -> Step[O]:
        """Starts an agent on an input; gives its answer, or raises what ended it."""
        _expect(agent, Agent, "run.agent")
        return self._value(self._started(agent, agent.action, input))

    def handoff(self, agent: Agent[I, O], input: I, /) -> Step[O]:
        """Hands the work over to an agent: it acts within what this run may do, and the session's next turn goes there.
        Gives its answer, or raises what ended it."""
        _expect(agent, Agent, "run.handoff")
        return self._value(self._started(agent, agent.handoff, input))

    def delegate(
        self, agent: Agent[Any, Any], input: Any, stated: str, *, over: bool
    ) -> Step[Executed[Any] | Blocked | Failed]:
        """What a model proposed: that another agent does a part of its work, or takes it `over`."""
        return self._told(self._started(agent, agent.handoff if over else agent.action, input, stated))

    def resumed(self, agent: Agent[Any, Any], input: Any) -> Step[Executed[Any] | Blocked | Failed] | None:
        """The handoff with which a session's turn begins whose work another agent has; None where none has."""
        taking, name = heir(self._activation, self._branch, agent), self._branch.following
        if taking is None:
            return None
        return self._told(self._started(taking, taking.handoff, input, following=name))

    def flow(self, flow: Flow[I, O], input: I, /) -> Step[O]:
        """Starts a flow inside this one."""
        _expect(flow, Flow, "run.flow")
        return self._value(self._started(flow, flow.action, input))

    def _attempt(
        self, tool: Tool[..., Any], arguments: Mapping[str, Any], stated: str = "",
        screened: Mapping[str, Signal] = NOTHING_SAID,
    ) -> Attempt:  # fmt: skip
        def carried(_: str) -> Performer:
            return tool_performer(tool)

        reason = because(stated)
        return Attempt(self._activation, self._branch, tool.action, carried, arguments, reason, screened=screened)

    def _started(
        self, what: Agent[Any, Any] | Flow[Any, Any], action: Action, input: Any, stated: str = "", following: str = "",
    ) -> Attempt:  # fmt: skip
        arguments = {"input": to_json(input)}  # what cannot be recorded takes no place in the log
        carried = body_of(self._think, Run, self._activation, self._branch, what, following)
        return Attempt(self._activation, self._branch, action, carried, arguments, because(stated))

    def _told(self, attempt: Attempt) -> Step[Any]:
        return self._step(attempt.name, attempt, path=attempt.path)

    def _value(self, attempt: Attempt) -> Step[Any]:
        return self._step(attempt.name, attempt.value, path=attempt.path)

    # composition -----------------------------------------------------------------------------------------------------
    @overload
    def gather(self, a: Step[A], b: Step[B], /) -> Step[tuple[A, B]]: ...
    @overload
    def gather(self, a: Step[A], b: Step[B], c: Step[C], /) -> Step[tuple[A, B, C]]: ...
    @overload
    def gather(self, a: Step[A], b: Step[B], c: Step[C], d: Step[D], /) -> Step[tuple[A, B, C, D]]: ...
    @overload
    def gather(self, a: Step[A], b: Step[B], c: Step[C], d: Step[D], e: Step[E], /) -> Step[tuple[A, B, C, D, E]]: ...
    @overload
    def gather(
        self, a: Step[A], b: Step[B], c: Step[C], d: Step[D], e: Step[E], f: Step[F], /
    ) -> Step[tuple[A, B, C, D, E, F]]: ...
    @overload
    def gather(self, *steps: Step[T]) -> Step[tuple[T, ...]]: ...
    def gather(self, *steps: Step[Any]) -> Step[Any]:
        """Settles all its steps, then gives their values in argument order or raises the first error in that order.

        It parks only when every branch has ended or parked: two approvals are asked at once.
        """

        async def work() -> tuple[Any, ...]:
            tasks = [self._activation.spawn(self._begin(step)) for step in steps]
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            unbroken(*tasks)
            # What `attempt` gives may be an exception by its class: only what a branch raised is raised.
            raised = [error for task in tasks if (error := task.exception()) is not None]
            # Ending wins over parking, parking over an error: what still waits is told again at the next activation.
            for error in sorted(raised, key=_urgency):
                raise error
            return tuple(ended)

        return Step(self, "", "gather", work, steps)

    async def _begin(self, step: Step[T]) -> T:
        if step.awaited:  # gathered or timed twice: its effect would happen twice
            raise FlyballError("awaited_twice", f"step {step.path} {step.what} was awaited before")
        step.awaited = True
        self._steps.pop(step.path, None)  # of a long run none is kept
        return await step.work()

    async def enter(self, step: Step[T], /) -> T:
        """Runs a step's work where its flow awaits it."""
        branch = self._branch
        if branch.travelling is not None:  # parking or ending: nothing more happens, whatever `finally` still asks for
            step.awaited = True
            raise branch.travelling
        if not self._activation.own():
            raise FlyballError(
                "foreign_task", f"step {step.path} {step.what} is awaited in a task that the run did not make",
                "its order could not be replayed", "use run.gather or a sub-flow so that replay keeps its order",
            )  # fmt: skip
        try:
            return await self._begin(step)
        except (Suspended, Halted, Continued, Superseded) as travelling:
            branch.travelling = travelling
            raise

    # memory ----------------------------------------------------------------------------------------------------------
    @property
    def scene(self) -> Scene:
        """Where this stands, for what prepares a proposal of it."""
        return Scene(self._activation, self._branch)

    def recall(
        self, query: str, *, top_k: int = 4, min_score: float = 0.7, scope: Scope_ = "user"
    ) -> Step[list[Memory]]:
        """The memories of a scope that answer a query, the best first (see `core.relevance`)."""
        prepared = self._activation.memories.recall(self.scene, query, top_k, min_score, scope)
        return self._carried(prepared, _recalled)

    def remember(
        self, text: str, *, about: str, ttl: timedelta, sensitivity: str = "internal", scope: Scope_ = "user"
    ) -> Step[Remembered | Skipped]:
        """Remembers a text for `ttl` where that is useful (see `core.useful`). It proves nothing: that is state."""
        wanted = remembering(text, about, ttl, sensitivity, scope)
        return self._carried(self._activation.memories.remember(self.scene, wanted), _remembered)

    def _carried(self, prepared: Prepared, take: Callable[[Activation, Any], Coroutine[Any, Any, T]]) -> Step[T]:
        step = self.perform(*prepared, {})

        async def work() -> T:
            told = await step.work()
            if isinstance(told, Executed):
                return await take(self._activation, told.value)
            raise told

        return self._step(prepared[0].name, work, path=step.path)

    # waiting ---------------------------------------------------------------------------------------------------------
    def ask(
        self, question: str, answer: TypeForm[T], /, *, to: str, about: object = None, within: timedelta, default: T
    ) -> Step[T]:
        """Asks people of a group (or "user:kim") a question; gives the answer, or `default` after `within`."""
        path = self._branch.next()

        async def work() -> T:
            shown = {"question": question, "about": to_json(about)}
            wanted = Wanted(to=to, within=within, default=to_json(default), schema=schema_for(answer))
            data = await ask_person(self._activation, self._branch, path, shown, wanted)
            return from_json(data, answer)  # type: ignore[no-any-return]

        return self._step("ask", work, path=path)

    def sleep(self, wait: timedelta) -> Step[None]:
        """Waits as a row, not as a coroutine."""
        return self._until("sleep", lambda now: now + wait // timedelta(microseconds=1))

    def until(self, at: datetime) -> Step[None]:
        """Waits until a moment; a naive one is refused."""
        if at.tzinfo is None:
            raise FlyballError("naive_time", f"{at!r} has no time zone", fix="datetime(..., tzinfo=UTC)")
        return self._until("until", lambda _: (at - EPOCH) // timedelta(microseconds=1))

    def _until(self, what: str, when: Callable[[int], int]) -> Step[None]:
        path = self._branch.next()
        return self._step(what, lambda: pause_until(self._activation, self._branch, path, what, when), path=path)

    def timeout(self, step: Step[T], limit: timedelta) -> Step[T | None]:
        """The step's value, or None where a recorded timer of `limit` won."""
        path = self._branch.next()

        async def work() -> T | None:
            started = self._begin(step)
            timed = first_of(self._activation, self._branch, path, started, limit, step.paths())
            try:
                return await timed  # type: ignore[no-any-return]
            finally:
                step.given_up()  # at a replay that gives the timer it is not begun, and was asked for all the same

        return self._step("timeout", work, path=path)

    def continue_as(self, input: Any) -> NoReturn:
        """Goes on with a fresh history: same run, next generation."""
        if self._branch.prefix != generation_of(self._branch.prefix):
            raise FlyballError(
                "not_the_run", "continue_as is for the run's own flow", fix="return from this flow instead"
            )
        raise Continued(to_json(input))

    # state, time and chance ------------------------------------------------------------------------------------------
    def update(self, reducer: Callable[Concatenate[S, P], S], *args: P.args, **kw: P.kwargs) -> Step[S]:
        """Applies a named pure function to the state; its arguments are recorded."""
        path = self._branch.next()
        return self._step("update", lambda: reduce(self._activation, self._branch, path, reducer, args, kw), path=path)

    def signal(self, name: str, value: float) -> Step[None]:
        """Records a score of the run's own work, declared as `[signals.NAME]`: policies then read the latest."""
        units = amount(self._activation.scales, name, value)
        path = self._branch.next()
        return self._step("signal", lambda: signalled(self._activation, self._branch, path, name, units), path=path)

    def now(self) -> datetime:
        """The time, as the log will give it back."""
        micros = self._mark(f"now{self._count()}", self._activation.record.clock.now)
        return datetime.fromtimestamp(micros / 1_000_000, UTC)

    def random(self) -> Random:
        """A source of chance that is the same at every replay."""
        self._branch.chances += 1
        return Random(f"{self.id}/{self._branch.prefix}/{self._branch.chances}")

    def uuid(self) -> UUID:
        """An id that is the same at every replay."""
        self._branch.chances += 1
        seed = f"{self.id}/{self._branch.prefix}/{self._branch.chances}"
        return UUID(bytes=hashlib.sha256(seed.encode()).digest()[:16], version=4)

    def changed(self, name: str) -> bool:
        """Guards a change of the flow's code: False while replaying what was recorded before the change, else True."""
        return changed_since(self._activation, self._branch, name)

    def _mark(self, name: str, fresh: Callable[[], int]) -> int:
        path = f"{self._branch.prefix}#{name}"
        known = self._activation.history.mark(path)
        if known is not None and known.private:
            return int(known.private["value"])
        value = fresh()
        self._branch.markers.append((path, value))
        return value

    def _count(self) -> int:
        self._branch.marks += 1
        return self._branch.marks

    def _step(self, what: str, work: Callable[[], Coroutine[Any, Any, T]], *, path: str) -> Step[T]:
        step = Step(self, path, what, work)
        self._steps[path] = step
        return step


async def _recalled(_: Activation, told: Recalled) -> list[Memory]:
    return told.memories


async def _remembered(at: Activation, told: Written) -> Remembered | Skipped:
    if told.kept is not None:
        await at.memories.follow(at.tenant)  # after the commit; where the process ends before it, a later read does it
    return told.told


def _urgency(error: BaseException) -> int:
    return 2 if isinstance(error, Exception) else 1 if isinstance(error, Suspended) else 0


def _expect(value: object, kind: type, where: str) -> None:
    if not isinstance(value, kind):
        raise FlyballError("wrong_value", f"{where} takes a {kind.__name__.lower()}, not {value!r}")
