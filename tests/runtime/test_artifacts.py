"""Files through the real path: kept sealed, known by their value, shown to who approves, capped, erasable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from flyball import (
    Artifact,
    Call,
    Completed,
    Critical,
    Executed,
    FlyballError,
    Principal,
    Run,
    Stopped,
    Trusted,
    Waiting,
    flow,
    tool,
)
from flyball.core import config
from flyball.core.journal import BudgetRow
from flyball.testing import Lab

KIM = Principal("user:kim", tenant="acme")
FAY = Principal("user:fay", tenant="acme", groups=frozenset({"finance"}))
RULES = """
@id("all") permit (principal, action in [Action::"read", Action::"reversible", Action::"irreversible"], resource);
@id("known") forbid (principal, action == Action::"send", resource) when { context.origin.file == "unknown" };
@id("large") @require_approval("finance") @reason("large")
forbid (principal, action == Action::"send", resource) when { context.input.file.size > 20 }
unless { context.approvals.contains("finance") };
"""
SENT: list[bytes] = []


@dataclass
class Offer:
    to: str
    file: Artifact


@tool(effect="read")
async def render(call: Call, text: str) -> Trusted[Artifact]:
    """Makes a file of a text."""
    return await call.artifacts.put(text.encode(), name="offer.txt", media_type="text/plain")


@tool(effect="read")
async def scan(call: Call, text: str) -> Artifact:
    """A file that nobody vouches for."""
    return await call.artifacts.put(text.encode(), name="scan.txt", media_type="text/plain")


@tool(effect="irreversible")
async def send(call: Call, to: Critical[str], file: Critical[Artifact]) -> int:
    """Sends a file."""
    SENT.append(await call.artifacts.get(file))
    return file.size


@flow
async def offer(run: Run, text: str) -> int:
    return await run.call(send, to="bea", file=await run.call(render, text))


@flow
async def forward(run: Run, wanted: Offer) -> int:
    return await run.call(send, to=wanted.to, file=wanted.file)


@flow
async def scanned(run: Run, text: str) -> int:
    return await run.call(send, to="bea", file=await run.call(scan, text))


@flow
async def many(run: Run, sizes: list[int]) -> int:
    return sum([(await run.call(render, "x" * n)).size for n in sizes])


@pytest.fixture(autouse=True)
def _sent() -> None:
    SENT.clear()


def lab(**caps: int) -> Lab:
    made = replace(config.Config.bare("lab", "/nowhere", home="/nowhere"), artifacts=config.Artifacts(**caps))
    return Lab(policies=RULES, by=KIM, config=made)


async def room(bench: Lab) -> Any:
    return (await bench._bench.ready(offer)).artifacts


@pytest.mark.promise("api-artifacts")
async def test_a_file_that_a_tool_keeps_reaches_another_by_its_value_alone() -> None:
    bench = lab()
    assert isinstance(await bench.run(offer, "a short offer", key="1"), Completed) and SENT == [b"a short offer"]
    (sent,) = [r for r in bench.records("1") if r.kind == "intent" and r.facts["action"] == "send"]
    file = (sent.private or {})["args"]["file"]
    assert (file["name"], file["media_type"], file["size"], file["origin"]) == ("offer.txt", "text/plain", 13, "render")
    assert (sent.private or {})["request"]["origins"]["file"] == "render.digest"


@pytest.mark.promise("api-artifacts")
async def test_who_approves_is_shown_name_type_size_and_digest_and_that_is_what_is_sent() -> None:
    bench = lab()
    asked = await bench.run(offer, "an offer of more than twenty bytes", key="1")
    assert isinstance(asked, Waiting)
    shown = asked.pending[0].arguments["file"]
    assert {"name": "offer.txt", "media_type": "text/plain", "size": 34}.items() <= shown.items() and shown["digest"]
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed)
    assert SENT == [b"an offer of more than twenty bytes"]


async def test_a_file_that_its_principal_hands_in_is_of_the_request() -> None:
    bench = lab()
    file = await (await room(bench)).put(b"mine", name="a.txt", media_type="text/plain", by=KIM)
    assert file.origin == "request" and isinstance(await bench.run(forward, Offer("bea", file), key="1"), Completed)
    (sent,) = [r for r in bench.records("1") if r.kind == "intent" and r.facts["action"] == "send"]
    assert (sent.private or {})["request"]["origins"]["file"] == "request"


async def test_a_file_of_a_tool_that_nobody_vouches_for_has_no_known_origin() -> None:
    ended = await lab().run(scanned, "read me")
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not SENT


@pytest.mark.promise("api-artifacts-scoped")
@pytest.mark.parametrize(
    "change",
    [{"name": "harmless.txt"}, {"size": 1}, {"digest": "0" * 64}, {"media_type": "text/html"},
     {"sensitivity": "public"}, {"origin": "render"}],
)  # fmt: skip
async def test_a_value_that_was_changed_is_no_file(change: dict[str, Any]) -> None:
    bench = lab()
    file = await (await room(bench)).put(b"mine", name="a.txt", media_type="text/plain", by=KIM)
    ended = await bench.run(forward, Offer("bea", replace(file, **change)))
    assert isinstance(ended, Stopped) and ended.reason == "invalid_proposal" and not SENT
    with pytest.raises(FlyballError) as unknown:
        (await room(bench)).get(replace(file, **change), by=KIM)
    assert unknown.value.code == "unknown_artifact"


@pytest.mark.promise("api-artifacts-scoped")
@pytest.mark.parametrize("who", [Principal("user:kim", tenant="other"), Principal("user:fay", tenant="acme")])
async def test_another_tenant_or_subject_finds_nothing_even_with_the_value(who: Principal) -> None:
    bench = lab()
    artifacts = await room(bench)
    file = await artifacts.put(b"mine", name="a.txt", media_type="text/plain", by=KIM)
    with pytest.raises(FlyballError, match="no artifact"):
        artifacts.get(file, by=who)
    ended = await bench.run(forward, Offer("bea", file), by=who)
    assert isinstance(ended, Stopped) and ended.reason == "invalid_proposal"


@pytest.mark.promise("api-artifacts-scoped")
async def test_the_same_file_has_another_digest_in_another_tenant() -> None:
    bench = lab()
    artifacts = await room(bench)
    made = [
        await artifacts.put(b"same", name="a", media_type="text/plain", by=Principal("user:kim", tenant=tenant))
        for tenant in ("acme", "other", "acme")
    ]
    assert made[0] == made[2] and made[0].digest != made[1].digest and len(made[0].digest) == 64


async def test_the_same_bytes_are_stored_once_and_never_in_the_clear() -> None:
    bench = lab()
    artifacts, data = await room(bench), b"secret words " * 400
    for name in ("a.txt", "b.txt", "a.txt"):
        await artifacts.put(data, name=name, media_type="text/plain", by=KIM)
    log = (await bench._bench.ready()).rooms.ports.journal._inner._logs["acme"]  # type: ignore[attr-defined]
    assert len(log.bodies) == 1 and sum(s.kind == "artifact" for s in log.records) == 2
    assert all(b"a.txt" not in s.leaf and b"secret" not in s.leaf + (s.payload or b"") for s in log.records)


@pytest.mark.promise("api-artifacts-capped")
async def test_a_file_over_its_cap_is_refused() -> None:
    bench = lab(file_bytes=10)
    artifacts = await room(bench)
    with pytest.raises(FlyballError) as refused:
        await artifacts.put(b"x" * 11, name="a", media_type="text/plain", by=KIM)
    assert refused.value.code == "artifact_too_large" and "file_bytes" in refused.value.why


@pytest.mark.promise("api-artifacts-capped")
async def test_files_over_the_cap_of_a_run_or_a_tenant_are_refused() -> None:
    bench = lab(run_bytes=100, tenant_bytes=150)
    ended = await bench.run(many, [60, 50])
    assert isinstance(ended, Stopped) and "run_bytes = 100" in ended.detail
    assert isinstance(await bench.run(many, [80]), Completed)
    ended = await bench.run(many, [30])
    assert isinstance(ended, Stopped) and "tenant_bytes = 150" in ended.detail


async def test_a_file_that_is_kept_again_counts_once_and_the_budget_verifies() -> None:
    bench = lab()
    assert isinstance(await bench.run(many, [60, 60, 40], key="1"), Completed)
    view = (await bench._bench.ready()).rooms.ports.journal.view("acme")
    row = view.row(BudgetRow, f"run/{bench.records('1')[0].run}")
    assert row is not None and row.spent.stored == 100 and (await bench.verify()).ok


async def test_an_erased_subject_s_file_is_said_to_be_erased() -> None:
    bench = lab()
    artifacts = await room(bench)
    file = await artifacts.put(b"mine", name="a.txt", media_type="text/plain", by=KIM, subject="user:anna")
    rooms = (await bench._bench.ready()).rooms
    rooms.ports.keyring.erase("acme", rooms.record.person("acme", "user:anna"))  # type: ignore[attr-defined]
    with pytest.raises(FlyballError) as erased:
        artifacts.get(file, by=KIM, subject="user:anna")
    assert erased.value.code == "subject_erased"


async def test_a_run_with_files_replays_from_its_log() -> None:
    bench = lab()
    await bench.run(offer, "a short offer", key="1")
    app = await bench._bench.ready()
    assert (await app.releases.replay(bench.records("1")[0].run, tenant="acme")).ok


async def test_a_crash_after_a_file_was_kept_keeps_it_once() -> None:
    bench = lab()
    await bench.act(render, {"text": "one"}, call_id="1")
    told = await bench.act(render, {"text": "one"}, call_id="2")
    assert isinstance(told, Executed) and told.value.size == 3
    log = (await bench._bench.ready()).rooms.ports.journal._inner._logs["acme"]  # type: ignore[attr-defined]
    assert sum(s.kind == "artifact" for s in log.records) == 1
