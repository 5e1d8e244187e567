"""What whoever watches hears of an answer while it arrives: nothing, unless policy lets it out before its guards."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flyball import Call, Completed, Flyball, Limits, Principal, Stopped, agent, tool
from flyball.app.plugs import adapter
from flyball.app.replaying import replay
from flyball.core.event import Delta, Executed
from flyball.core.guard import Edit, GuardConfig, Subject, Verdict
from flyball.core.model import ModelConfig
from tests.bad_input.bank import Books, Hasty, in_memory, memory

ME = sys.modules[__name__]
KIM = Principal("user:kim")
READS = '@id("reads") permit (principal, action in Action::"read", resource);\n'
SHOWN = READS + '@id("shown") permit (principal, action == Action::"stream", resource is Model);\n'
ANSWER = "Write to pat@example.com about it, please."
writer = agent("writer", instructions="Answer.", limits=Limits(steps=9))
SCRIPT = f'[[reply]]\ntext = "{ANSWER}"\n'


class Nosy:
    """A guard of this process that sees the whole, and fails at a stream if it is told to."""

    version, local = "nosy@1", True

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    async def check(self, subject: Subject) -> Verdict:
        return Verdict()

    def edits(self, text: str) -> list[Edit]:
        if self.fails:
            raise OSError("no")
        return []

    async def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def desk(
    folder: Path, policy: str = SHOWN, script: str = SCRIPT, guard: Any = None, settings: Any = None, **model: Any
) -> AsyncIterator[tuple[Flyball, list[Any]]]:
    """A project with one scripted model, and all that somebody who watches hears."""
    config = ModelConfig(**{"name": "default", "adapter": "scripted", "stream": True, **model})
    file = folder / "script.toml"
    file.write_text(script)
    ports = replace(memory(Hasty()), models={"default": adapter("model.scripted")(adapter("model.script")(file))})
    guards = {}
    if guard is not None or settings is not None:
        placed = GuardConfig(name="private", stages=("final_output",), settings=settings or {})
        guards = {"private": placed}
        ports = replace(ports, guards={"private": guard or adapter("guard.pack")(placed)})
    heard: list[Any] = []
    async with in_memory(ports, folder, Books(), policy, ME, models={"default": config}, guards=guards) as app:
        watcher = asyncio.create_task(_listen(app, heard))
        await asyncio.sleep(0)
        yield app, heard
        await asyncio.sleep(0.01)
        watcher.cancel()


async def _listen(app: Flyball, heard: list[Any]) -> None:
    async for event in app.watch():
        heard.append(event)


async def asked(app: Flyball, heard: list[Any]) -> tuple[Any, list[Delta]]:
    done = await app.run(writer, "hello", by=KIM)
    await asyncio.sleep(0.01)
    return done, [event for event in heard if isinstance(event, Delta)]


def kept(app: Flyball, run: str) -> list[dict[str, Any]]:
    return [dict(r.facts) for r in app.runs.records(run) if r.kind == "intent" and r.facts["action_kind"] == "model"]


@pytest.mark.promise("api-streaming")
async def test_where_policy_permits_it_an_answer_is_heard_while_it_arrives(tmp_path: Path) -> None:
    async with desk(tmp_path) as (app, heard):
        done, deltas = await asked(app, heard)
        assert isinstance(done, Completed) and "".join(d.text for d in deltas) == done.value == ANSWER
        assert [d.start for d in deltas] == [sum(len(e.text) for e in deltas[:n]) for n in range(len(deltas))]
        assert {(d.sequence, d.attempt, d.by, d.run) for d in deltas} == {(0, 1, "writer", done.run)}
        assert kept(app, done.run)[0]["streamed"] is True and (await app.ledger.verify()).ok


@pytest.mark.promise("api-streaming")
async def test_nothing_of_it_is_recorded_apart(tmp_path: Path) -> None:
    async with desk(tmp_path) as (app, heard):
        done, deltas = await asked(app, heard)
        said = json.dumps([[r.kind, r.facts, r.private] for r in app.runs.records(done.run)], default=str)
        assert deltas and said.count("please.") == 3  # the model's reply, the agent's answer, the run's result
        assert (await replay(app.rooms, "local", done.run)).ok


@pytest.mark.promise("api-streaming")
@pytest.mark.parametrize(
    "policy",
    [READS, SHOWN + '@id("no") forbid (principal, action == Action::"stream", resource);\n',
     SHOWN + '@id("ask") @require_approval("owner") @reason("ask") forbid (principal, action == Action::"stream", '
     'resource) unless { context.approvals.contains("owner") };\n'],
    ids=["unsaid", "forbidden", "asked"],
)  # fmt: skip
async def test_where_policy_does_not_nothing_is_heard_before_the_end(tmp_path: Path, policy: str) -> None:
    async with desk(tmp_path, policy) as (app, heard):
        done, deltas = await asked(app, heard)
        assert isinstance(done, Completed) and not deltas and "streamed" not in kept(app, done.run)[0]


async def test_a_model_that_is_not_configured_to_stream_does_not(tmp_path: Path) -> None:
    async with desk(tmp_path, stream=False) as (app, heard):
        done, deltas = await asked(app, heard)
        assert isinstance(done, Completed) and not deltas and "streamed" not in kept(app, done.run)[0]


async def test_policy_may_say_whose_answers_are_shown(tmp_path: Path) -> None:
    rule = 'permit (principal, action == Action::"stream", resource) when { context.input.agent == "other" };'
    other = f'{READS} @id("other") {rule}'
    async with desk(tmp_path, other) as (app, heard):
        assert not (await asked(app, heard))[1]


@pytest.mark.promise("gate-guard-streams-like-the-whole")
async def test_a_guard_that_can_redacts_what_is_heard_as_it_redacts_the_whole(tmp_path: Path) -> None:
    async with desk(tmp_path, settings={"find": ["email"]}) as (app, heard):
        done, deltas = await asked(app, heard)
        assert isinstance(done, Completed) and done.value == "Write to [email] about it, please."
        assert "".join(d.text for d in deltas) == done.value


async def test_a_guard_that_fails_at_a_stream_lets_nothing_more_out(tmp_path: Path) -> None:
    async with desk(tmp_path, guard=Nosy(fails=True)) as (app, heard):
        done, deltas = await asked(app, heard)
        assert isinstance(done, Completed) and done.value == ANSWER and not deltas
    async with desk(tmp_path, guard=Nosy()) as (app, heard):
        assert (await asked(app, heard))[1]


@tool(effect="read", credentials=["mail"])
async def post(call: Call) -> str:
    """Uses a secret."""
    call.secret("mail").reveal()
    return "sent"


sender = agent("sender", instructions="Send.", tools=[post])


async def test_a_secret_that_was_handed_out_is_hidden_in_a_stream(tmp_path: Path, monkeypatch: Any) -> None:
    script = '[[reply]]\n[[reply.call]]\ntool = "post"\n[[reply]]\ntext = "It is sesame42 today."\n'
    monkeypatch.setenv("MAIL", "sesame42")
    async with desk(tmp_path, script=script) as (app, heard):
        app.rooms.stations.broker._hidden.learn(adapter("model.key")("env:MAIL"))
        done = await app.run(sender, "go", by=KIM)
        await asyncio.sleep(0.01)
        told = "".join(e.text for e in heard if isinstance(e, Delta))
        assert told == done.value == "It is <secret env:MAIL> today."  # type: ignore[union-attr]


async def test_half_a_stream_is_no_answer_and_is_charged(tmp_path: Path) -> None:
    script = '[[reply]]\nerror = "unavailable"\ntext = "I shall pay five"\nrepeat = true\n'
    async with desk(tmp_path, script=script) as (app, heard):
        ended, deltas = await asked(app, heard)
        assert isinstance(ended, Stopped) and {d.attempt for d in deltas} == {1, 2, 3, 4}
        failed = [e for e in heard if isinstance(e, Executed) and e.action == "model"]
        assert [(e.status, e.code) for e in failed] == [("failed", "model_unavailable")] * 4
        facts = [r.facts for r in app.runs.records(ended.run) if r.kind in ("intent", "outcome")]
        asked_, spent = [f["reserved"] for f in facts if "reserved" in f], [f["usage"] for f in facts if "usage" in f]
        assert [s["tokens"] for s in spent if "tokens" in s] == [a["tokens"] for a in asked_ if "tokens" in a]
