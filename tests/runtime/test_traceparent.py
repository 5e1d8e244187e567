"""Where work hangs: what a caller says is above its run, and what a run does elsewhere is told where it belongs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from flyball import Call, Executed, FlyballError, Run, flow, tool
from flyball.adapters.model_http.models import OpenAIModel
from flyball.app.telemetry import rules_of
from flyball.core.call import Secret
from flyball.core.model import Message, ModelConfig, ModelRequest
from flyball.core.span import Origin, Span, read_traceparent, span_id, trace_id
from flyball.runtime.telemetry import Projector
from flyball.testing import Lab, Say
from tests.adapters.openai_server import openai_server
from tests.runtime.test_telemetry import Kept, Sink, clerk
from tests.runtime.till import KIM, lab, look, scripted

CALLER = f"00-{'a' * 32}-{'b' * 16}-01"
ME = sys.modules[__name__]


@tool(effect="read")
async def whose(call: Call) -> str:
    """Say what one was told."""
    return call.traceparent


@tool(effect="read", isolation="process")
async def apart(call: Call) -> str:
    """Say it from another process."""
    return call.traceparent


@flow
async def here(run: Run, n: int) -> str:
    return await run.call(whose)


@flow
async def there(run: Run, n: int) -> str:
    return await run.call(apart)


async def spans(bench: Lab) -> dict[str, Span]:
    rooms = (await bench._bench.ready()).rooms
    sink = Sink()
    await Projector(rooms.record, sink, Kept(), rules_of(rooms.config, rooms.project, "x"), lambda: 0.5).round()
    return {span.name: span for span in sink.taken}


@pytest.mark.promise("api-telemetry-traceparent")
@pytest.mark.parametrize("said", [None, CALLER])
async def test_a_tool_is_handed_the_span_that_is_sent_for_it(said: str | None) -> None:
    bench = lab()
    app = await bench._bench.ready(here)
    done: Any = await bench._bench.driven(app.run(here, 1, by=KIM, traceparent=said))
    span = (await spans(bench))["execute_tool whose"]
    assert read_traceparent(done.value) == Origin(span.trace, span.id)
    root = (await spans(bench))["invoke_workflow here"]
    assert (root.trace, root.parent) == (("a" * 32, "b" * 16) if said else (trace_id("local", done.run), ""))


@pytest.mark.promise("api-telemetry-traceparent")
@pytest.mark.skipif(sys.platform != "linux", reason="the level needs Linux")
async def test_so_is_one_in_a_process_of_its_own() -> None:
    bench = Lab(by=KIM, project=[ME])
    app = await bench._bench.ready(there)
    done: Any = await bench._bench.driven(app.run(there, 1, by=KIM, traceparent=CALLER))
    assert read_traceparent(done.value) == Origin("a" * 32, span_id("local", done.run, "1", 1))


async def test_an_action_within_a_run_is_in_that_run_s_trace() -> None:
    bench = lab()
    app = await bench._bench.ready(here)
    bench._bench.project(whose)
    over: Any = await bench._bench.driven(app.start(here, 1, by=KIM, traceparent=CALLER))
    app = await bench._bench.ready(whose)
    told: Any = await bench._bench.driven(app.act(whose, {}, by=KIM, call_id="1", run=over.id))
    assert isinstance(told, Executed)
    act = (await spans(bench))["act whose"]
    assert (act.trace, act.parent) == ("a" * 32, span_id("local", over.id))


@pytest.mark.parametrize("text", ["nonsense", f"00-{'0' * 32}-{'b' * 16}-01"])
async def test_what_says_nothing_is_refused_before_anything_is_recorded(text: str) -> None:
    bench = lab()
    app = await bench._bench.ready(look)
    with pytest.raises(FlyballError) as bad:
        await app.act(look, {"n": 1}, by=KIM, call_id="1", traceparent=text)
    assert bad.value.code == "bad_traceparent"


@pytest.mark.promise("api-telemetry-traceparent")
async def test_a_model_is_asked_with_the_span_of_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = scripted(clerk=[Say("six")])
    asked: list[ModelRequest] = []
    app = await bench._bench.ready(clerk)
    port = app.rooms.ports.models["default"]
    complete = port.complete

    async def heard(request: ModelRequest, *rest: Any) -> Any:
        asked.append(request)
        return await complete(request, *rest)

    monkeypatch.setattr(port, "complete", heard)
    await bench._bench.driven(app.run(clerk, "what", by=KIM))
    span = (await spans(bench))["chat default"]
    assert [read_traceparent(r.traceparent) for r in asked] == [Origin(span.trace, span.id)]


@pytest.mark.promise("api-telemetry-traceparent")
async def test_it_reaches_the_provider_as_a_header() -> None:
    async with openai_server() as endpoint:
        config = ModelConfig(name="m", model="text", base_url=endpoint.url)
        model = OpenAIModel(config, Secret("env:K", "k"))
        for header in (CALLER, ""):
            request = ModelRequest(model="text", messages=(Message(role="user", text="hi"),), traceparent=header)
            await model.complete(request)
        await model.close()
    assert [sent.get("traceparent") for sent in endpoint.headers] == [CALLER, None]
