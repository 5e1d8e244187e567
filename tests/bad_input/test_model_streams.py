"""What a provider may answer instead of an answer, in whole runs over real HTTP: in each format, streamed and not."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flyball import Completed, Flyball, Limits, Stopped, agent
from flyball.app.plugs import adapter
from flyball.core.model import ModelConfig
from tests.adapters.openai_server import Endpoint
from tests.adapters.streams import ALL, Spoken
from tests.bad_input.bank import KIM, PERMIT, Books, Hasty, in_memory, look, memory, pay

clerk = agent("clerk", instructions="Pay.", tools=[pay, look], limits=Limits(steps=12))
each = pytest.mark.parametrize("spoken", ALL, ids=str)
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@asynccontextmanager
async def desk(spoken: Spoken, folder: Path, stream: bool) -> AsyncIterator[tuple[Flyball, Endpoint, Books, Hasty]]:
    """The bank with a model behind a real server, which streams where it is asked to and policy permits it."""
    kept, clock = Books(), Hasty()
    async with spoken.served() as endpoint:
        endpoint.reply_headers = {"Content-Type": "application/json"}
        config = ModelConfig(
            name="default", adapter=spoken.name, model="custom", base_url=endpoint.url + spoken.base, stream=stream,
            price="scripted",
        )  # fmt: skip
        ports = replace(memory(clock), models={"default": adapter(f"model.{spoken.name}")(config, None)})
        async with in_memory(ports, folder, kept, PERMIT, sys.modules[__name__], models={"default": config}) as app:
            yield app, endpoint, kept, clock


def answers(endpoint: Endpoint, stream: bool, status: int, whole: Any, events: list[Any]) -> None:
    """From now on the provider answers so, whichever way it is asked."""
    endpoint.status, endpoint.body = status, whole
    endpoint.streams.pop("custom", None)
    if stream and status == 200:
        endpoint.streams["custom"] = events


def negative(spoken: Spoken) -> tuple[Any, list[Any]]:
    """The answer with counts below nothing, whole and streamed."""
    whole = json.loads(json.dumps(spoken.text).replace(": 7", ": -4"))
    places = {"openai": -2, "anthropic": -2, "gemini": -1}
    events = list(spoken.text_events)
    events[places[spoken.name]] = spoken.negative
    return whole, events


def instead(spoken: Spoken) -> dict[str, tuple[int, Any, list[Any]]]:
    """What comes instead of an answer: its status, the body, the events."""
    half = json.dumps(spoken.text).encode()[:-20]
    return {
        "slow down": (429, b"", []), "an error": (500, b"oops", []), "garbage": (200, b"<html>", [b"<html>"]),
        "half": (200, half, spoken.text_events[:2]), "negative counts": (200, *negative(spoken)),
        "nothing": (200, b"", []), "a huge body": (200, b" " * (9 << 20), [b" " * (9 << 20)]),
        "an error inside": (200, spoken.overloaded, [*spoken.text_events[:2], spoken.overloaded]),
    }  # fmt: skip


@each
@both
async def test_what_is_no_answer_runs_nothing_ends_the_run_and_is_on_record(
    spoken: Spoken, stream: bool, tmp_path: Path
) -> None:
    async with desk(spoken, tmp_path, stream) as (app, endpoint, kept, clock):
        for name, (status, whole, events) in instead(spoken).items():
            answers(endpoint, stream, status, whole, events)
            ended = await app.run(clerk, "pay", by=KIM)
            assert isinstance(ended, Stopped) and ended.reason in ("tool_failed", "reply_too_large"), name
            first = [r.facts for r in app.runs.records(ended.run) if r.kind in ("intent", "outcome") and r.attempt == 1]
            reserved = next(f["reserved"] for f in first if "reserved" in f and f["action_kind"] == "model")
            spent = next(f["usage"] for f in first if str(f.get("code", "")).startswith("model_"))
            assert spent.get("tokens", 0) == (0 if status == 429 else reserved["tokens"]), name
            clock._now += 61_000_000  # its breaker has rested
        assert not kept.calls and (await app.ledger.verify()).ok


@each
@both
async def test_an_answer_of_another_model_than_asked_is_used_and_the_record_names_it(
    spoken: Spoken, stream: bool, tmp_path: Path
) -> None:
    async with desk(spoken, tmp_path, stream) as (app, endpoint, _, __):
        answers(endpoint, stream, 200, spoken.text, spoken.text_events)
        done = await app.run(clerk, "pay", by=KIM)
        assert isinstance(done, Completed) and done.value == "Hello you."
        results = [(r.private or {}).get("result") for r in app.runs.records(done.run) if r.kind == "outcome"]
        assert [r["model"] for r in results if isinstance(r, dict) and "model" in r] == ["test-1"]
        asked = endpoint.asked[0]
        assert bool(asked.get("stream")) == (stream and spoken.name != "gemini")


@each
async def test_after_half_a_stream_the_next_attempt_is_used(spoken: Spoken, tmp_path: Path) -> None:
    async with desk(spoken, tmp_path, True) as (app, endpoint, kept, _):
        halves = [spoken.text_events[:2], spoken.call_events[:2], spoken.text_events]
        endpoint.streams["custom"] = halves  # a list of answers: one after the other
        done = await app.run(clerk, "pay", by=KIM)
        assert isinstance(done, Completed) and done.value == "Hello you." and len(endpoint.asked) == 3
        assert not kept.calls and (await app.ledger.verify()).ok
