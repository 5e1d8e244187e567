"""The owner's socket: what it answers, to whom, and what happens when one of the two goes away."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from flyball.app.control import server
from flyball.app.control.channel import SocketChannel
from flyball.app.control.commands import COMMANDS
from flyball.app.control.wire import MAX_LINE
from flyball.app.flyball import Flyball
from flyball.core.config import Config
from flyball.core.credential import SigningKey, sign_approval
from flyball.core.errors import FlyballError
from tests.app.owned import EVE, FAY, KIM, Client, owner, project, waiting


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return project(tmp_path / "desk")


@pytest.fixture
async def app(config: Config) -> AsyncIterator[Flyball]:
    async with owner(config) as opened:
        yield opened


Dial = Callable[..., Awaitable[Client]]


@pytest.fixture
async def dial(config: Config) -> AsyncIterator[Dial]:
    """Connections to the owner; they are closed at the end."""
    made: list[Client] = []

    async def connect(key: SigningKey | None = None) -> Client:
        made.append(await Client.of(config, key))
        return made[-1]

    yield connect
    for client in made:
        await client.channel.close()


async def refusal(work: object) -> str:
    with pytest.raises(FlyballError) as refused:
        await work  # type: ignore[misc]
    return f"{refused.value.code}: {refused.value}"


@pytest.mark.promise("journal-owner-serves-a-socket")
async def test_the_owner_serves_a_0600_socket_beside_the_database_until_it_closes(config: Config, dial: Dial) -> None:
    path = Path(config.journal.path).with_name("desk.db.sock")
    async with owner(config):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        client = await dial()
        assert client.hello["project"] == "desk" and len(client.hello["log"]) == 32
    assert not path.exists() and await SocketChannel.open(Path(config.journal.path)) is None


async def test_a_project_over_handed_in_ports_serves_nothing(app: Flyball, config: Config, dial: Dial) -> None:
    path = Path(config.journal.path).with_name("desk.db.sock")
    path.unlink()
    async with Flyball(config, app.rooms.project, app.rooms.ports, drive=False):
        assert not path.exists()


async def test_where_no_socket_can_be_made_the_project_opens_all_the_same(
    config: Config, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(config.journal.path).with_name("desk.db.sock")
    path.parent.mkdir()
    path.write_text("not a socket")
    async with owner(config) as app:
        assert (await app.run(app.rooms.project.flows["looks"], 1, by=KIM)).ok
    assert "no control socket" in caplog.text and path.read_text() == "not a socket"


@pytest.mark.promise("api-approving-wakes")
async def test_an_approval_over_the_socket_wakes_the_run(app: Flyball, config: Config, dial: Dial) -> None:
    asked = await waiting(app)
    client = await dial(FAY)
    over = (await client.ask(app, "approval", id=asked))["over"]
    told = await client.ask(app, "approve", id=asked, over=over, reason="fine", signature=sign_approval(FAY, over))
    assert told["driven"] and told["by"] == "user:fay"
    assert (await app.runs.result(told["run"])).ok
    (approved,) = app.runs.records(told["run"], kind="approved")
    assert (approved.facts["assurance"], approved.facts["key"]) == ("key", FAY.id)
    assert (await app.ledger.verify()).ok


@pytest.mark.parametrize("command", [name for name, command in COMMANDS.items() if command.person])
async def test_the_operating_system_user_decides_nothing(
    app: Flyball, config: Config, dial: Dial, command: str
) -> None:
    client = await dial()
    said = await refusal(client.ask(app, command, id=await waiting(app), over="0" * 64))
    assert said.startswith("not_eligible") and "may start runs, not decide" in said


@pytest.mark.promise("api-os-user-starts-only")
async def test_the_operating_system_user_runs_resumes_and_stops(app: Flyball, config: Config, dial: Dial) -> None:
    client = await dial()
    assert (await client.ask(app, "run", what="looks", input="2"))["value"] == 2
    run = (await client.ask(app, "run", what="handle", input="30"))["run"]
    assert (await client.ask(app, "resume", run=run))["runs"][0]["reason"] == "waiting"
    assert (await client.ask(app, "stop", run=run, reason="enough"))["state"] == "ended"
    assert app.runs.records(run)[0].private["principal"]["assurance"] == "os"  # type: ignore[index]


async def test_a_key_that_nobody_enrolled_does_nothing(app: Flyball, config: Config, dial: Dial) -> None:
    client = await dial(EVE)
    assert (await refusal(client.ask(app, "runs"))).startswith("auth_failed")


@pytest.mark.promise("gate-approvals-are-signed")
async def test_a_signature_over_something_else_is_no_approval(app: Flyball, config: Config, dial: Dial) -> None:
    asked = await waiting(app)
    client = await dial(FAY)
    over = (await client.ask(app, "approval", id=asked))["over"]
    for signature in (sign_approval(FAY, "0" * 64), sign_approval(EVE, over), "", "?"):
        said = await refusal(client.ask(app, "approve", id=asked, over=over, reason="x", signature=signature))
        assert "its signature does not hold" in said
    other = "1" * 64
    said = await refusal(client.ask(app, "approve", id=asked, over=other, signature=sign_approval(FAY, other)))
    assert said.startswith("conflict") and app.approvals.get(asked).over == over


@pytest.mark.promise("api-requests-once")
async def test_a_request_that_is_sent_twice_is_done_once(app: Flyball, config: Config, dial: Dial) -> None:
    client = await dial(FAY)
    message = client.signed("run", now=app.rooms.ports.clock.now(), what="looks", input="1")
    assert (await client.send(message))["ok"]
    assert "it was sent before" in await refusal(client.send(message))
    assert len(app.runs.list()) == 1


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"v": 9}, "speaks version 1"),
        ({"v": 1, "command": "aprove"}, "did you mean approve?"),
        ({"v": 1, "command": "runs", "arguments": {"stat": "x"}}, "unknown field `stat`"),
        ({"v": 1, "command": "runs", "arguments": {"tenant": "a/b"}}, "no tenant name"),
        ({"v": 1, "command": "show", "arguments": {"run": "r-0"}}, "there is no run r-0"),
        ({"v": 1, "command": "run", "arguments": {"what": "x", "input": "1"}}, "no flow or agent 'x'"),
    ],
)
async def test_what_cannot_be_done_is_answered_and_the_owner_lives_on(
    app: Flyball, config: Config, dial: Dial, message: dict[str, object], why: str
) -> None:
    client = await dial()
    assert why in await refusal(client.send(message))
    assert (await client.ask(app, "runs"))["runs"] == []


async def test_a_bug_in_a_command_is_answered_with_a_sentence(
    app: Flyball, config: Config, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(app.budgets), "list", lambda *_, **__: 1 / 0)
    client = await dial()
    assert "ZeroDivisionError" in await refusal(client.ask(app, "budget"))


async def test_a_line_that_is_too_long_is_refused_and_ends_the_connection(
    app: Flyball, config: Config, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await dial()
    said = await refusal(client.ask(app, "run", what="x" * (MAX_LINE + 1)))
    assert "is longer than" in said or said.startswith("owner_gone")
    assert (await (await dial()).ask(app, "runs"))["runs"] == []


async def test_a_stream_ends_with_whoever_hung_up_and_a_command_does_not(
    app: Flyball, config: Config, dial: Dial
) -> None:
    watcher, starter = await dial(), await dial()
    stream = watcher.channel.exchange({"v": 1, "command": "watch", "arguments": {}})
    assert await anext(stream) == {"stream": True}
    writer = starter.channel._writer
    writer.write(b'{"v":1,"command":"run","arguments":{"what":"nap","input":"50","wait":true}}\n')
    await writer.drain()
    await watcher.channel.close()
    await starter.channel.close()
    while not (app.runs.list() and app.runs.list()[0].state == "ended"):
        await asyncio.sleep(0.01)
    assert app._server is not None
    while app._server._busy:
        await asyncio.sleep(0.01)


@pytest.mark.promise("api-watch")
async def test_events_arrive_as_they_are_recorded(app: Flyball, config: Config, dial: Dial) -> None:
    client, other = await dial(), await dial()
    run = (await other.ask(app, "run", what="looks", input="1"))["run"]
    told = [m async for m in client.channel.exchange({"v": 1, "command": "watch", "arguments": {"run": run}})]
    assert (told[1]["event"]["event"], told[-2]["event"]["event"]) == ("step_started", "ended") and "data" in told[-1]


async def test_what_is_under_way_when_the_owner_closes_gets_a_moment_and_then_an_answer(
    config: Config, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.05)
    async with owner(config) as app:
        client = await dial()
        waits = asyncio.create_task(refusal(client.ask(app, "run", what="handle", input="30", wait=True)))
        while not app.approvals.list():
            await asyncio.sleep(0.01)
    assert (await waits).startswith("owner_gone")


async def test_two_clients_are_answered_side_by_side(app: Flyball, config: Config, dial: Dial) -> None:
    slow, fast = await dial(), await dial()
    first = asyncio.create_task(slow.ask(app, "run", what="nap", input="400", wait=True))
    while not (await fast.ask(app, "runs"))["runs"]:
        await asyncio.sleep(0.01)
    assert not first.done()
    assert (await first)["value"] == "rested"
