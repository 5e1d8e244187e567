"""Tools with `isolation="process"`: called whole in another process, and every way that this can end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from flyball import Blocked, Call, Executed, Failed, NotDone, Principal, Retry, Run, Tenant, flow, resource, tool
from flyball.core.config import Config, TenantConfig
from flyball.core.event import Progress
from flyball.core.result import Pending
from flyball.testing import Lab
from flyball.testing.apart import sandbox
from tests.bad_input.bank import Books, in_memory, memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the level needs Linux")
ME = sys.modules[__name__]
HERE = os.getpid()
KIM = Principal("user:kim", groups=frozenset({"desk"}))
ANN = Principal("user:ann", tenant="acme")
PERMIT = '@id("all") permit (principal, action, resource);\n'
ONCE = Retry(attempts=1)
TOKEN = "tok-1234567890"


@resource()
async def shared(tenant: Tenant) -> AsyncIterator[list[str]]:
    kept = [f"shared{tenant.id}"]
    yield kept


@resource(scope="tenant")
async def theirs(tenant: Tenant) -> AsyncIterator[list[str]]:
    yield [f"theirs {tenant.id} {tenant.settings.get('region', '')}"]


@resource(scope="call")
async def broken(tenant: Tenant) -> AsyncIterator[str]:
    yield Path("/there/is/no/such/file").read_text()


@tool(effect="read", isolation="process", credentials=["bank"])
async def looks(call: Call) -> dict[str, Any]:
    """Say what it is handed."""
    return {
        "key": call.key, "who": call.principal.id, "groups": sorted(call.principal.groups), "tenant": call.tenant,
        "run": call.run, "attempt": call.attempt, "process": os.getpid(),
        "resources": call.get(shared) + call.get(theirs),
    }  # fmt: skip


@tool(effect="read", isolation="process", credentials=["bank"])
def told(call: Call) -> list[str]:
    """A plain function that gives a secret away, by accident."""
    found = call.secret("bank").reveal()
    return [found, str(os.environ), str(sys.argv), Path("/proc/self/cmdline").read_text()]


Way = Literal["raise", "not_done", "exit", "leave", "die", "wrong", "no_data", "large", "print", "memory", "nothing"]


def goes(way: Way) -> Any:
    match way:
        case "raise":
            raise ValueError("no such day")
        case "not_done":
            raise NotDone("closed", retry_after=timedelta(milliseconds=5))
        case "exit":
            sys.exit("usage")
        case "leave":
            os._exit(0)
        case "die":
            os.kill(os.getpid(), 9)
        case "wrong":
            return {"this": "is no number"}
        case "no_data":
            return object()
        case "large":
            return "x" * 2_000_000
        case "print":
            print("a\nt\x00garbage" * 100_000)
            return 7
        case "memory":
            return len(bytearray(3 << 30))
        case _:
            pass
    return None


@tool(effect="irreversible", isolation="process", retry=ONCE)
def acts(call: Call, way: Way) -> int:
    """An effect that nobody can ask about."""
    return goes(way)  # type: ignore[no-any-return]


@tool(effect="read", isolation="process", retry=ONCE)
def reads(call: Call, way: Way) -> int:
    """A read."""
    return goes(way)  # type: ignore[no-any-return]


@tool(effect="irreversible", isolation="process", timeout=timedelta(seconds=5), retry=ONCE)
def lingers(call: Call) -> int:
    """Never ends."""
    time.sleep(60)
    return 1


@tool(effect="irreversible", idempotency="key", isolation="process", retry=Retry(attempts=2))
def again(call: Call, file: str) -> int:
    """Dies at first."""
    if call.attempt == 1:
        Path(file).write_text(call.key)
        os._exit(3)
    return int(Path(file).read_text() == call.key)


@tool(effect="irreversible", idempotency="probe", isolation="process", retry=ONCE)
def doubted(call: Call, file: str) -> int:
    """Dies after it has happened."""
    Path(file).write_text(str(os.getpid()))
    os._exit(3)


@doubted.probe
async def was_it(call: Call, file: str) -> int | None:
    return os.getpid() if Path(file).exists() else None


@tool(effect="irreversible", isolation="process", retry=ONCE)
async def unready(call: Call) -> str:
    """Its resource cannot be opened."""
    return call.get(broken)


@tool(effect="irreversible", isolation="process")
async def closed(call: Call) -> str:
    """Its precondition is asked there too."""
    return "done"


@closed.requires
async def is_open(call: Call) -> str | None:
    return f"process {os.getpid()} says no"


def lab(**settings: Any) -> Lab:
    config = Config.bare("lab", "/srv", home="/srv")
    tenants = {"acme": TenantConfig(settings={"region": "eu"})}
    config = msgspec.structs.replace(config, secrets={"bank": "env:BANK"}, tenants=tenants)
    return Lab(policies=PERMIT, by=KIM, project=[ME], config=config, **settings)


@pytest.fixture(autouse=True)
def bank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK", TOKEN)


async def of(name: Any, arguments: Any, by: Principal = KIM) -> tuple[Any, Lab]:
    async with lab() as desk:
        return await desk.act(name, arguments, call_id="1", by=by), desk


# what it is handed ----------------------------------------------------------------------------------------------------
async def test_the_call_is_whole_in_another_process() -> None:
    done, desk = await of(looks, {})
    assert isinstance(done, Executed)
    (intent,) = [r for r in desk.records() if r.kind == "intent" and r.facts["action"] == "looks"]
    assert done.value["process"] != HERE and done.value["key"] == intent.facts["key"]
    assert (done.value["run"], done.value["attempt"]) == (intent.run, 1) and done.value["groups"] == ["desk"]


async def test_a_resource_there_is_its_tenants() -> None:
    done, _ = await of(looks, {}, ANN)
    assert isinstance(done, Executed) and (done.value["who"], done.value["tenant"]) == ("user:ann", "acme")
    assert done.value["resources"] == ["shared", "theirs acme eu"]


@pytest.mark.promise("gate-isolation-is-told")
async def test_the_isolation_that_was_obtained_is_recorded() -> None:
    _, desk = await of(reads, {"way": "print"})
    (intent,) = [r for r in desk.records() if r.kind == "intent" and r.facts["action"] == "reads"]
    assert intent.facts["isolation"] == "process"


async def test_a_secret_goes_over_the_line_alone_and_enters_no_record() -> None:
    done, desk = await of(told, {})
    assert isinstance(done, Executed) and done.value[0] == "<secret bank>" and TOKEN not in str(done.value)
    assert TOKEN not in str([r.private for r in desk.records()])


@tool(effect="read", isolation="process")
def tells(call: Call) -> int:
    """Say how far it is."""
    call.progress("halfway", 0.5)
    return 1


@flow
async def telling(run: Run, n: int) -> int:
    return await run.call(tells)


async def test_progress_comes_back(tmp_path: Path) -> None:
    async with in_memory(replace(memory(), sandbox=sandbox()), tmp_path, Books(), PERMIT, ME) as app:
        started = await app.start(telling, 1, by=KIM)
        heard = [e async for e in started.watch() if isinstance(e, Progress)]
        assert [(e.message, e.done, e.path) for e in heard] == [("halfway", 0.5, "1")]


# how it ends ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("way", "code", "says"),
    [
        ("raise", "tool_failed", "ValueError: no such day"), ("exit", "tool_failed", "it called exit: usage"),
        ("leave", "process_died", "exit code 0"), ("die", "process_died", "SIGKILL"),
        ("memory", "tool_failed", "MemoryError"),
    ],
)  # fmt: skip
async def test_what_goes_wrong_after_the_beginning_is_unknown_for_an_effect(way: Way, code: str, says: str) -> None:
    asked, desk = await of(acts, {"way": way})
    assert isinstance(asked, Pending) and asked.kind == "unknown"
    (outcome,) = [r for r in desk.records() if r.kind == "outcome" and r.facts["status"] == "unknown"]
    assert outcome.facts["code"] == code and says in (outcome.private or {})["error"]


async def test_a_call_that_never_ends_is_given_up_on_and_asked_about() -> None:
    asked, desk = await of(lingers, {})
    assert isinstance(asked, Pending) and asked.kind == "unknown"
    (outcome,) = [r for r in desk.records() if r.kind == "outcome" and r.facts["status"] == "unknown"]
    assert outcome.facts["code"] == "timeout" and "5 s" in (outcome.private or {})["error"]


@pytest.mark.parametrize(("way", "reason"), [("raise", "tool_failed"), ("leave", "process_died")])
async def test_a_read_has_failed(way: Way, reason: str) -> None:
    failed, _ = await of(reads, {"way": way})
    assert isinstance(failed, Failed) and failed.reason == reason


async def test_what_says_that_it_did_not_happen_is_believed() -> None:
    failed, _ = await of(acts, {"way": "not_done"})
    assert isinstance(failed, Failed) and (failed.reason, failed.message) == ("not_done", "closed")


@pytest.mark.parametrize("way", ["wrong", "no_data", "large", "nothing"])
async def test_a_result_that_does_not_fit_is_quarantined(way: Way) -> None:
    failed, desk = await of(acts, {"way": way})
    assert isinstance(failed, Failed) and failed.reason == "result_invalid"
    (outcome,) = [r for r in desk.records() if r.kind == "outcome" and r.path == failed.action.split("/")[1]]
    assert outcome.facts["status"] == "executed" and outcome.facts["result_invalid"]


async def test_garbage_on_the_output_is_no_answer() -> None:
    done, _ = await of(acts, {"way": "print"})
    assert isinstance(done, Executed) and done.value == 7


async def test_a_resource_that_cannot_be_opened_means_that_nothing_happened() -> None:
    failed, _ = await of(unready, {})
    assert isinstance(failed, Failed) and failed.reason == "not_done" and "no/such/file" in failed.message


async def test_a_module_that_cannot_be_imported_there_means_that_nothing_happened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "bad.py"
    file.write_text("raise OSError('not today')")
    monkeypatch.setattr(ME, "__file__", str(file))
    failed, _ = await of(acts, {"way": "print"})
    assert isinstance(failed, Failed) and failed.reason == "not_done" and "not today" in failed.message


async def test_a_call_under_a_key_is_made_again_with_it(tmp_path: Path) -> None:
    done, _ = await of(again, {"file": str(tmp_path / "key")})
    assert isinstance(done, Executed) and done.value == 1


async def test_a_probe_is_asked_in_another_process(tmp_path: Path) -> None:
    done, _ = await of(doubted, {"file": str(tmp_path / "done")})
    assert isinstance(done, Executed) and done.value not in (HERE, int((tmp_path / "done").read_text()))


async def test_a_precondition_is_asked_in_another_process() -> None:
    blocked, _ = await of(closed, {})
    assert isinstance(blocked, Blocked) and blocked.reason == "precondition"
    assert "says no" in blocked.what and f" {HERE} " not in blocked.what


# where it cannot be had -----------------------------------------------------------------------------------------------
def made_inside() -> Any:
    @tool(effect="read", isolation="process")
    def inner(call: Call) -> int:
        """Nobody can import this."""
        return 1

    return inner


@pytest.mark.promise("gate-demanded-isolation-or-none")
async def test_a_tool_that_no_module_keeps_is_refused() -> None:
    blocked, _ = await of(made_inside(), {})
    assert isinstance(blocked, Blocked) and blocked.reason == "isolation_unavailable"


async def test_where_something_stands_in_the_call_runs_here_and_says_so() -> None:
    async with lab(resources=[theirs.use(["a stand-in"])]) as desk:
        done = await desk.act(looks, {}, call_id="1")
        assert isinstance(done, Executed) and done.value["process"] == HERE
        (intent,) = [r for r in desk.records() if r.kind == "intent" and r.facts["action"] == "looks"]
        assert intent.facts["isolation"] == "none"
