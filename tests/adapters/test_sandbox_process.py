"""A call in a process of its own: what it gets, how its ends are read, what is left of it. Every process is real."""

from __future__ import annotations

import ast
import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flyball.adapters.sandbox_process.sandbox import ProcessSandbox, search_path
from flyball.ports.sandbox import Ending, Job, Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the level needs Linux")
ROOT = Path(__file__).parents[2]


def job(entry: str, given: bytes = b"", seconds: float = 30, most: int = 1_000_000) -> Job:
    path = (str(ROOT), *search_path())
    return Job(entry=f"tests.adapters.entries:{entry}", input=given, path=path, seconds=seconds, most=most)


async def ran(entry: str, given: bytes = b"", seconds: float = 30, limits: Limits = Limits()) -> Ending:
    return await ProcessSandbox(limits).run(job(entry, given, seconds), lambda _: None)


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


# what a call gets -----------------------------------------------------------------------------------------------------
async def test_the_level_is_what_a_trial_obtained() -> None:
    assert (await ProcessSandbox().level()).isolation == "process"


async def test_a_call_is_told_answered_and_its_words_are_heard() -> None:
    heard: list[bytes] = []
    ended = await ProcessSandbox().run(job("echo", b"x" * 300_000), heard.append)
    assert (ended.how, ended.begun, ended.answer, heard) == ("answered", True, b"x" * 300_000, [b"half"])
    assert ended.printed == "printed on the way"


async def test_a_child_knows_nothing_of_its_callers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_TOKEN", "s3cret")
    ended = await ran("looks", b"s3cret")
    argv, environment, stdin, folder = ast.literal_eval(ended.answer.decode())
    assert "s3cret" not in str((argv, environment)) and stdin == "" and folder == []
    assert environment["HOME"] == environment["TMPDIR"] != os.environ.get("HOME")
    assert not Path(environment["HOME"]).exists()


async def test_a_call_may_start_programs() -> None:
    assert (await ran("starts_a_program")).answer == b"there\n"


async def test_what_is_printed_is_not_an_answer_and_holds_nobody_up() -> None:
    ended = await ran("prints_without_end")
    assert ended.answer == b"done" and ended.printed.endswith("the end") and len(ended.printed) <= 2_000


# limits ---------------------------------------------------------------------------------------------------------------
async def test_memory_ends() -> None:
    ended = await ran("fills_memory")
    assert (ended.how, ended.begun) == ("died", True) and "MemoryError" in ended.printed


async def test_a_file_ends() -> None:
    ended = await ran("fills_a_file")
    assert ended.how == "died" and "File too large" in ended.printed


async def test_open_files_end() -> None:
    ended = await ran("opens_files")
    assert ended.how == "died" and "Too many open files" in ended.printed


async def test_processor_time_ends() -> None:
    sandbox = ProcessSandbox()
    begun = time.monotonic()
    ended = await sandbox.run(job("spins", seconds=1), lambda _: None)
    assert ended.how in ("timeout", "died") and time.monotonic() - begun < 20


async def test_a_child_that_forks_on_and_on_is_ended() -> None:
    ended = await ran("forks_on", limits=Limits(processes=8))
    assert ended.how == "died" and ended.begun
    assert "too many processes" in ended.detail or "BlockingIOError" in ended.printed


# ends -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("entry", "how", "begun", "detail"),
    [
        ("fails", "died", True, "exit code 1"), ("quiet", "died", True, "exit code 0"),
        ("leaves", "died", True, "exit code 0"), ("kills_itself", "died", True, "SIGKILL"),
        ("closes_its_line", "died", False, "exit code 1"), ("closes_its_line_later", "timeout", True, ""),
        ("garbage", "garbled", True, "bytes"), ("garbage_at_once", "garbled", False, "bytes"),
        ("fifty_megabytes", "garbled", True, "52428800"), ("there_is_no_such_entry", "died", False, "exit code 1"),
    ],
)  # fmt: skip
async def test_an_end_without_an_answer_is_read(entry: str, how: str, begun: bool, detail: str) -> None:
    ended = await ran(entry, seconds=3 if how == "timeout" else 20)
    assert (ended.how, ended.begun) == (how, begun) and detail in ended.detail


async def test_fifty_megabytes_of_talk_are_not_listened_to() -> None:
    heard: list[bytes] = []
    ended = await ProcessSandbox().run(job("fifty_megabytes_of_talk"), heard.append)
    assert ended.answer == b"done" and sum(map(len, heard)) < 5_000_000


@pytest.mark.parametrize(("entry", "begun"), [("never_begins", False), ("never_ends", True)])
async def test_time_ends(entry: str, begun: bool) -> None:
    ended = await ran(entry, seconds=2)
    assert (ended.how, ended.begun) == ("timeout", begun)


# what is left ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("entry", "how"), [("hides", "timeout"), ("hides_and_answers", "answered")])
async def test_a_grandchild_in_a_session_of_its_own_does_not_survive(tmp_path: Path, entry: str, how: str) -> None:
    told = tmp_path / "pid"
    ended = await ran(entry, str(told).encode(), seconds=3)
    assert ended.how == how and not alive(int(told.read_text()))


async def test_a_cancelled_call_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    running = asyncio.create_task(ran("hides", str(told).encode()))
    while not told.exists() or not told.read_text():
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not alive(int(told.read_text()))


@pytest.mark.promise("journal-children-die-with-parents")
def test_a_child_whose_caller_is_killed_dies(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = (
        "import asyncio\nfrom tests.adapters.test_sandbox_process import ran\n"
        f"asyncio.run(ran('hides', {str(told).encode()!r}))\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not told.exists() or not told.read_text():
        assert caller.poll() is None
        time.sleep(0.02)
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    until = time.monotonic() + 10
    while alive(int(told.read_text())):
        assert time.monotonic() < until
        time.sleep(0.02)
