"""Telemetry: the log as spans, whatever becomes of the receiver and of whoever sends them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest

from flyball import Call, Completed, Personal, Principal, Run, Waiting, agent, flow, tool
from flyball.adapters.otlp.exporter import OtlpExporter
from flyball.app.telemetry import rules_of
from flyball.core import attributes as name
from flyball.core.attributes import ATTRIBUTES
from flyball.core.errors import FlyballError
from flyball.core.marks import Mark
from flyball.core.meter import Meter
from flyball.core.span import Span, span_id, trace_id
from flyball.core.telemetry import Cursor, ExportError, TelemetryConfig
from flyball.runtime.telemetry import Projector, Telemetry
from flyball.testing import Crash, Lab, Say, propose
from tests.adapters.otlp_server import Answer, Receiver, otlp_server, told
from tests.runtime.till import FAY, gossip, lab, look, pay, scripted

clerk = agent("clerk", instructions="Do what is asked.", tools=[look, pay, gossip])
Content = Mapping[str, tuple[str, ...]]
NONE: Content = {}
SOURCES = ("runtime/telemetry.py", "core/trace.py", "core/disclosure.py", "core/meter.py", "adapters/otlp/")


@flow
async def day(run: Run, wish: str) -> str:
    await run.call(look, 2)
    text = await run.agent(clerk, wish)
    await run.call(pay, cents=500)
    return text


@flow
async def peek(run: Run, n: int) -> int:
    return await run.call(look, n)


@dataclass
class Person:
    mail: Personal[str]
    n: int


class Kept:
    """Cursors in memory, which outlive whoever exports."""

    def __init__(self) -> None:
        self.cursors: dict[str, Cursor] = {}
        self.free = True

    def take(self) -> bool:
        return self.free

    def load(self, tenant: str) -> Cursor | None:
        return self.cursors.get(tenant)

    def save(self, tenant: str, cursor: Cursor) -> None:
        self.cursors[tenant] = cursor

    def close(self) -> None:
        self.free = True


class Sink:
    """A receiver without a network."""

    metered = False

    def __init__(self) -> None:
        self.taken: list[Span] = []

    async def spans(self, spans: Sequence[Span]) -> int:
        self.taken += spans
        return 0

    async def metrics(self, meter: Meter, now: int) -> None: ...

    async def close(self) -> None: ...


async def following(bench: Lab, exporter: Any, kept: Kept, content: Content = NONE, value: Any = None) -> Projector:
    rooms = (await bench._bench.ready(value)).rooms
    config = TelemetryConfig(name="test", content=content)
    rules = rules_of(msgspec.structs.replace(rooms.config, telemetry={"test": config}), rooms.project, "test")
    return Projector(rooms.record, exporter, kept, rules, lambda: 0.5)


@asynccontextmanager
async def sending(bench: Lab, kept: Kept | None = None) -> AsyncIterator[tuple[Projector, Receiver, Kept]]:
    """A projector of this Lab's log that sends to a receiver of its own."""
    async with otlp_server() as receiver:
        exporter = OtlpExporter(TelemetryConfig(name="test", url=receiver.url, timeout_ms=300), "till")
        stays = kept or Kept()
        try:
            yield await following(bench, exporter, stays), receiver, stays
        finally:
            await exporter.close()


async def a_day() -> Lab:
    """A run with an agent, calls of its model and of tools, a denial, an approval, and a crash after an effect."""
    bench = scripted(clerk=[propose(look, 3), propose(pay, 1_000_000), Say("six")])
    asked = await bench.run(day, "what", key="k")
    assert isinstance(asked, Waiting)
    bench.crash_after(pay)
    with pytest.raises(Crash):
        await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(await bench.resume("k"), Completed)
    return bench


def places(receiver: Receiver) -> dict[tuple[str, str, int], tuple[str, str]]:
    """Name, path and attempt of every span: the status of it, and the name of the one above."""
    found = {}
    for span in receiver.spans.values():
        at, above = told(span.attributes), receiver.spans.get(span.parent_span_id.hex())
        where = span.name, at.get("flyball.path", ""), at.get("flyball.attempt", 0)
        found[where] = ("", "ok", "error")[span.status.code], above.name if above is not None else ""
    return found


@pytest.mark.promise("api-telemetry-tree")
async def test_a_run_is_one_tree_of_spans() -> None:
    bench = await a_day()
    async with sending(bench) as (projector, receiver, _):
        await projector.round()
    inside, run = "invoke_agent clerk", "invoke_workflow day"
    assert places(receiver) == {
        (run, "", 0): ("ok", ""),
        ("execute_tool look", "1", 1): ("ok", run),
        (inside, "2", 1): ("ok", run),
        ("chat default", "2.1", 1): ("ok", inside),
        ("execute_tool look", "2.2", 1): ("ok", inside),
        ("chat default", "2.3", 1): ("ok", inside),
        ("execute_tool pay", "2.4", 1): ("error", inside),
        ("chat default", "2.5", 1): ("ok", inside),
        ("approval pay", "3#1", 0): ("ok", run),
        ("execute_tool pay", "3", 1): ("error", run),
        ("execute_tool pay", "3", 2): ("ok", run),
    }


async def test_each_span_says_what_was_decided_and_by_which_policy() -> None:
    bench = await a_day()
    async with sending(bench) as (projector, receiver, _):
        await projector.round()
    denied = next(told(s.attributes) for s in receiver.spans.values() if s.status.message == "policy_denied")
    assert (denied["flyball.decision"], denied["flyball.policies"]) == ("deny", ["project/never-that-much"])
    paid = next(told(s.attributes) for s in receiver.spans.values() if told(s.attributes).get("flyball.path") == "3")
    # The crash came after the effect: the first attempt was closed, the second was made under its key.
    assert paid["flyball.approval"].endswith("/3#1") and paid["flyball.cost.usd"] == 0.1
    chat = told(receiver.named("invoke_workflow day").attributes)
    assert chat["flyball.stop_reason"] == "completed" and receiver.resources[0]["service.name"] == "till"


@pytest.mark.promise("api-telemetry-names")
async def test_no_attribute_has_a_name_that_the_mapping_does_not_know() -> None:
    bench = await a_day()
    async with sending(bench) as (projector, receiver, _):
        await projector.round()
    spans = [*receiver.spans.values(), *(e for s in receiver.spans.values() for e in s.events)]
    points = [p for m in receiver.points.values() for p in (*m.sum.data_points, *m.histogram.data_points)]
    used = {name for one in (*spans, *points) for name in told(one.attributes)}
    assert used <= ATTRIBUTES and {"gen_ai.operation.name", "openinference.span.kind", "flyball.run"} <= used


@pytest.mark.promise("api-telemetry-content-is-off")
async def test_nothing_that_is_sealed_leaves_unless_it_is_named() -> None:
    bench = await a_day()
    async with sending(bench) as (projector, receiver, _):
        await projector.round()
    sent = " ".join(str(s) for s in receiver.spans.values())
    assert not [word for word in ("what", "user:kim", "user:fay", "paid 500", "six", "input.value") if word in sent]


@tool(effect="read")
async def person(call: Call, name: Annotated[str, Mark("personal")], n: int) -> Person:
    """Look a person up."""
    return Person(f"{name}@example.com", n)


@flow
async def asks(run: Run, n: int) -> int:
    return (await run.call(person, name="kim", n=n)).n


@pytest.mark.promise("api-telemetry-personal-stays")
async def test_what_is_named_leaves_but_for_what_is_personal() -> None:
    bench, sink = lab(), Sink()
    await bench.run(asks, 7)
    content = {"person": ("arguments", "result"), "asks": ("result",)}
    await (await following(bench, sink, Kept(), content)).round()
    told = {s.name: s.attributes for s in sink.taken}
    assert told["execute_tool person"][name.INPUT] == '{"name":"<personal>","n":7}'
    assert told["execute_tool person"][name.OUTPUT] == '{"mail":"<personal>","n":7}'
    assert told["invoke_workflow asks"][name.OUTPUT] == "7"


@pytest.mark.promise("api-telemetry-personal-stays")
@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"person": ("result.mail",)}, "Personal"), ({"person": ("arguments.name",)}, "Personal"),
        ({"persom": ("result",)}, "there is no"),
    ],
)  # fmt: skip
async def test_naming_what_is_personal_or_not_there_is_refused(content: Content, why: str) -> None:
    with pytest.raises(FlyballError) as bad:
        await following(lab(), Sink(), Kept(), content, asks)
    assert bad.value.code == "config_value" and why in bad.value.why


@pytest.mark.promise("api-telemetry-ids")
async def test_ids_come_from_run_and_step_so_that_sending_twice_changes_nothing() -> None:
    bench = await a_day()
    async with sending(bench) as (projector, receiver, _):
        await projector.round()
        first = {id: span.SerializeToString() for id, span in receiver.spans.items()}
        await (await following(bench, projector._exporter, Kept())).round()
        assert receiver.received == 2 * len(first)
        assert {id: span.SerializeToString() for id, span in receiver.spans.items()} == first
    run = bench.records("k")[0].run
    assert {s.trace_id.hex() for s in receiver.spans.values()} == {trace_id("local", run)}
    assert span_id("local", run) in first and span_id("local", run, "3", 1) in first


@pytest.mark.promise("api-telemetry-resumes")
async def test_wherever_it_was_cut_off_it_goes_on_as_if_it_never_had_been() -> None:
    bench = await a_day()
    whole = Sink()
    await (await following(bench, whole, Kept())).round()
    log = (await bench._bench.ready()).rooms.ports.journal.view("local").tree()
    for cut in range(log[1].size):
        rest, kept = Sink(), Kept()
        kept.cursors["local"] = Cursor(log=log[0], next=cut)
        await (await following(bench, rest, kept)).round()
        assert rest.taken == whole.taken[len(whole.taken) - len(rest.taken) :], cut
        assert kept.cursors["local"].dropped == 0


async def test_a_parked_run_gives_what_is_over_and_the_rest_when_it_ends() -> None:
    bench = scripted(clerk=[Say("six")])
    asked = await bench.run(day, "what", key="k")
    assert isinstance(asked, Waiting)
    async with sending(bench) as (projector, receiver, _):
        await projector.round()
        assert "invoke_agent clerk" in receiver.names() and "invoke_workflow day" not in receiver.names()
        points = receiver.points["flyball.waiting"].sum
        assert [p.as_double for p in points.data_points] == [1.0] and not points.is_monotonic
        await bench.approve(asked.pending[0], by=FAY)
        await projector.round()
        assert receiver.received == len(receiver.spans) and "invoke_workflow day" in receiver.names()
        assert [p.as_double for p in receiver.points["flyball.waiting"].sum.data_points] == [0.0]


# a receiver that misbehaves -------------------------------------------------------------------------------------------
@pytest.mark.promise("api-telemetry-outage")
@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=429, headers={"Retry-After": "7"}), Answer(status=500), Answer(status=503), Answer(hangs=True),
        Answer(status=401), Answer(status=404), Answer(body=b"<html>", kind="text/html"), Answer(body=b"\xff\xff"),
        Answer(status=302, headers={"Location": "/elsewhere"}),
    ],
    ids=["429", "500", "503", "hangs", "401", "404", "a web page", "garbage", "a redirect"],
)  # fmt: skip
async def test_what_is_not_accepted_waits_and_is_sent_again(answer: Answer) -> None:
    bench = lab()
    await bench.run(peek, 1)
    async with sending(bench) as (projector, receiver, kept):
        receiver.answers = [answer, answer]
        waits = [await projector.round(), await projector.round(), await projector.round()]
        assert waits == ([7.0, 7.0, 1.0] if answer.status == 429 else [1.5, 3.0, 1.0])
        assert receiver.names() == ["execute_tool look", "invoke_workflow peek"]
        assert (kept.cursors["local"].sent, kept.cursors["local"].trouble) == (2, "")


async def test_while_it_is_away_the_cursor_says_so_and_stays() -> None:
    bench = lab()
    await bench.run(peek, 1)
    async with sending(bench) as (projector, receiver, kept):
        receiver.answers = [Answer(status=401)]
        await projector.round()
        assert (kept.cursors["local"].next, kept.cursors["local"].trouble) == (0, "export_unusable")


async def test_of_a_batch_that_is_refused_only_the_span_at_fault_is_dropped() -> None:
    bench = await a_day()
    async with sending(bench) as (projector, receiver, kept):
        receiver.poison = "approval pay"
        await projector.round()
        assert len(receiver.spans) == 10 and "approval pay" not in receiver.names()
        assert (kept.cursors["local"].sent, kept.cursors["local"].dropped) == (10, 1)


async def test_what_a_receiver_says_it_threw_away_is_counted_and_not_sent_again() -> None:
    bench = lab()
    await bench.run(peek, 1)
    async with sending(bench) as (projector, receiver, kept):
        receiver.answers = [Answer(body=b"\x0a\x02\x08\x02")]
        await projector.round()
        await projector.round()
        assert receiver.paths.count("/v1/traces") == 1 and kept.cursors["local"].dropped == 2


async def test_an_outage_that_a_restart_falls_into_loses_nothing() -> None:
    bench, kept = await a_day(), Kept()
    async with sending(bench, kept) as (projector, receiver, _):
        receiver.answers = [Answer(status=503)]
        await projector.round()
    await bench.restart()
    await bench.run(peek, 5)
    async with sending(bench, kept) as (projector, receiver, _):
        await projector.round()
        assert len(receiver.spans) == 13 and kept.cursors["local"].sent == 13


# other logs -----------------------------------------------------------------------------------------------------------
async def test_a_log_that_is_another_one_or_shorter_is_begun_anew() -> None:
    bench, kept, sink = lab(), Kept(), Sink()
    await bench.run(peek, 1)
    kept.cursors["local"] = Cursor(log="another", next=8)
    await (await following(bench, sink, kept)).round()
    assert len(sink.taken) == 2
    kept.cursors["local"] = Cursor(log=kept.cursors["local"].log, next=1_000)
    await (await following(bench, sink, kept)).round()
    assert len(sink.taken) == 4


@pytest.mark.promise("api-telemetry-tenants")
async def test_only_the_logs_of_its_tenants_go_to_a_receiver() -> None:
    bench, sink = lab(), Sink()
    for tenant in ("acme", "other"):
        await bench.run(peek, 1, by=Principal("user:ann", tenant=tenant, groups=frozenset({"till"})))
    rooms = (await bench._bench.ready()).rooms
    rules = rules_of(rooms.config, rooms.project, "test")
    await Projector(rooms.record, sink, Kept(), rules, lambda: 0.5, lambda tenant: tenant == "acme").round()
    assert {span.attributes[name.TENANT] for span in sink.taken} == {"acme"}


async def test_what_was_never_started_sends_nothing() -> None:
    bench, kept, sink = lab(), Kept(), Sink()
    await bench.run(peek, 1)
    await Telemetry({"test": (await following(bench, sink, kept), sink, kept)}).close()
    assert sink.taken == []


async def test_only_one_process_exports() -> None:
    bench, kept, sink = lab(), Kept(), Sink()
    await bench.run(peek, 1)
    kept.free = False
    projector = await following(bench, sink, kept)
    assert await projector.round() == 1.0 and sink.taken == []
    kept.free = True
    await projector.round()
    assert len(sink.taken) == 2


async def test_a_record_that_nobody_can_read_does_not_end_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, kept, sink = lab(), Kept(), Sink()
    await bench.run(peek, 1)
    projector = await following(bench, sink, kept)
    broken = projector._read

    def read(tenant: str, view: Any, stored: Any, trace: Any) -> Any:
        return broken(tenant, view, stored, trace) if stored.kind != "intent" else 1 / 0

    monkeypatch.setattr(projector, "_read", read)
    await projector.round()
    assert [s.name for s in sink.taken] == ["invoke_workflow peek"] and kept.cursors["local"].dropped == 2


# the step path --------------------------------------------------------------------------------------------------------
async def test_a_disk_that_fails_does_not_end_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, sink, kept = await a_day(), Sink(), Kept()
    projector = await following(bench, sink, kept)
    with monkeypatch.context() as full:
        full.setattr(kept, "save", lambda *_: kept.cursors[""])  # raises
        assert await projector.round() > 1 and not kept.cursors
    assert await projector.round() == 1 and kept.cursors["local"].trouble == ""
    assert {s.id for s in sink.taken[: len(sink.taken) // 2]} == {s.id for s in sink.taken}  # again, under the same ids


@pytest.mark.promise("api-telemetry-costs-no-step")
async def test_no_step_runs_any_of_this() -> None:
    bench, kept, sink = lab(), Kept(), Sink()
    await bench.run(peek, 1)
    rooms = (await bench._bench.ready()).rooms
    telemetry = Telemetry({"test": (await following(bench, sink, kept), sink, kept)})
    called: list[str] = []

    def watch(frame: Any, event: str, _: object) -> None:
        if event == "call" and any(part in frame.f_code.co_filename for part in SOURCES):
            called.append(frame.f_code.co_qualname if sys.version_info >= (3, 11) else "")

    sys.setprofile(watch)
    try:
        await bench.run(peek, 2)
    finally:
        sys.setprofile(None)
    assert called == [] and not rooms.record.hints
    telemetry.start()
    await telemetry.close()
    assert len(sink.taken) == 4


async def test_it_follows_beside_everything_else_and_ends_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flyball.runtime.telemetry.POLL_S", 0.01)
    bench, kept, sink = lab(), Kept(), Sink()
    await bench.run(peek, 1)
    telemetry = Telemetry({"test": (await following(bench, sink, kept), sink, kept)})
    telemetry.start()
    await bench.run(peek, 2)
    await telemetry.close()
    assert len(sink.taken) == 4


async def test_closing_waits_for_no_receiver_that_hangs() -> None:
    bench = lab()
    await bench.run(peek, 1)
    async with sending(bench) as (projector, receiver, kept):
        receiver.answers = [Answer(hangs=True)] * 9
        telemetry = Telemetry({"test": (projector, projector._exporter, kept)})
        telemetry.start()
        await telemetry.close(0.05)
        assert kept.cursors == {}


async def test_a_wait_grows_and_is_never_longer_than_a_minute() -> None:
    bench, kept = lab(), Kept()
    await bench.run(peek, 1)

    class Away(Sink):
        async def spans(self, spans: Sequence[Span]) -> int:
            raise ExportError("later", "away")

    projector = await following(bench, Away(), kept)
    waits = [await projector.round() for _ in range(9)]
    assert waits == sorted(waits) and waits[0] == 1.5 and waits[-1] == 45.0
