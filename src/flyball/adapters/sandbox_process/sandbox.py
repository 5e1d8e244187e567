"""Sandbox: runs entries in fresh interpreters, reads their answers with a cap, and kills what they started.

Level `process` stops accidents, not attackers: the child has the owner's user and its files, network and `/proc`. A
process that kills its keeper, or that another service starts on its behalf, survives it.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from flyball.adapters.sandbox_process.child import ALONE, CROWDED, LEFT_OVER
from flyball.ports.sandbox import Ending, Job, Level, Limits

CHILD: Final = Path(__file__).with_name("child.py")
TRIAL: Final = "flyball.adapters.sandbox_process.trial:main"
TRIAL_SECONDS: Final = 20.0
KILL_SECONDS: Final = 8.0
LAST_WORDS_SECONDS: Final = 1.0
MOST_TOLD: Final = 65_536
TOLD_IN_ALL: Final = 4_194_304
PRINTED_KEPT: Final = 2_000
# What a child may know of its surroundings: where programs are, and how text and time are written.
PASSED: Final = ("PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ")
_OF_KEEPER: Final = {
    ALONE: "its caller was gone", CROWDED: "it started too many processes", LEFT_OVER: "something of it would not go",
}  # fmt: skip


class ProcessSandbox:
    """A fresh interpreter for each call. `limits` hold for every call."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._level = Level(isolation="none")

    async def level(self) -> Level:
        """`process` where a trial showed it; else `none` and why, and the next call tries again."""
        if self._level.isolation == "none":  # a machine without memory for a moment is not one without isolation
            self._level = await self._tried()
        return self._level

    async def run(self, job: Job, tell: Callable[[bytes], None], /) -> Ending:
        """One entry in a process of its own. Raises OSError where no process can be started."""
        ours, theirs = socket.socketpair()
        folder = tempfile.mkdtemp(prefix="flyball-")
        read, write = os.pipe()
        try:
            with theirs, ours:
                process = _spawned(theirs.fileno(), write, folder)
                theirs.close()
                os.close(write)
                write = -1
                call = _Call(process, job, tell)
                return await call.through(ours, read, self._order(job))
        finally:
            if write >= 0:
                os.close(write)
                os.close(read)
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    def _order(self, job: Job) -> bytes:
        of = self._limits
        order = {
            "entry": job.entry, "path": job.path, "cpu": math.ceil(job.seconds) + 1, "memory": of.memory,
            "file": of.file, "files": of.files, "processes": of.processes,
        }  # fmt: skip
        head = json.dumps(order).encode()
        return struct.pack(">II", len(head), len(job.input)) + head + job.input

    async def _tried(self) -> Level:
        if sys.platform != "linux" or not sys.executable:
            return Level(isolation="none", why="a process that cannot outlive its caller needs Linux")
        job = Job(entry=TRIAL, input=b"", path=tuple(search_path()), seconds=TRIAL_SECONDS, most=MOST_TOLD)
        try:
            ending = await self.run(job, lambda _: None)
        except OSError as bad:
            return Level(isolation="none", why=f"no process can be started: {bad}")
        if ending.how != "answered":
            return Level(isolation="none", why=f"a trial {ending.how}: {ending.detail} {ending.printed}")
        missing = list(self._missing(json.loads(ending.answer)))
        return Level(isolation="none", why="; ".join(missing)) if missing else Level(isolation="process")

    def _missing(self, found: dict[str, Any]) -> list[str]:
        of = self._limits
        held = {
            "a session of its own": found["own_session"], "the death signal": found["death_signal"] == signal.SIGKILL,
            "no new privileges": found["no_new_privileges"] == 1,
            "a clean environment": set(found["environment"]) <= {*PASSED, "HOME", "TMPDIR"},
            "limits": found["core"] == 0 and all(0 < found[n] <= getattr(of, n) for n in ("memory", "file", "files")),
            "a folder of its own": found["folder"] != str(Path.cwd()),
            "the end of what it started": not Path(f"/proc/{found['left']}").exists(),
        }  # fmt: skip
        return [f"a call did not get {what}" for what, there in held.items() if not there]


def search_path() -> list[str]:
    """This process's module path, as a process in another folder can use it."""
    return [str(Path(entry).resolve()) for entry in sys.path]


def _spawned(line: int, printed: int, folder: str) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in PASSED if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-I", str(CHILD), str(line), str(os.getpid())], stdin=subprocess.DEVNULL, stdout=printed,
        stderr=printed, pass_fds=(line,), cwd=folder, env={**environment, "HOME": folder, "TMPDIR": folder},
        start_new_session=True,
    )  # fmt: skip


class _Tail(asyncio.Protocol):
    """Reads everything that is printed, so that nobody blocks on it, and keeps the end."""

    def __init__(self) -> None:
        self.kept = b""
        self.over = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()

    def data_received(self, data: bytes) -> None:
        self.kept = (self.kept + data)[-PRINTED_KEPT:]


class _Call:
    """One call: what was heard of it so far."""

    def __init__(self, process: subprocess.Popen[bytes], job: Job, tell: Callable[[bytes], None]) -> None:
        self._process, self._job, self._tell = process, job, tell
        self._begun, self._garbled, self._told = False, "", 0
        self._answer: bytes | None = None

    async def through(self, end: socket.socket, printed: int, order: bytes) -> Ending:
        """Hands the order over, listens until the end, and leaves nothing behind."""
        loop = asyncio.get_running_loop()
        tail = _Tail()
        pipe, _ = await loop.connect_read_pipe(lambda: tail, os.fdopen(printed, "rb"))
        end.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=end)
        talking = loop.create_task(self._talk(reader, writer, order))
        gone = loop.create_task(self._gone())
        timed_out = False
        try:
            done, _ = await asyncio.wait({talking, gone}, timeout=self._job.seconds, return_when="FIRST_COMPLETED")
            timed_out = not done
        finally:
            await self._over(writer, gone, talking)
            await asyncio.wait({loop.create_task(tail.over.wait())}, timeout=LAST_WORDS_SECONDS)
            pipe.close()
        return self._ending(timed_out, tail.kept)

    async def _over(self, writer: asyncio.StreamWriter, gone: asyncio.Task[None], talking: asyncio.Task[None]) -> None:
        """Has the keeper end everything, then hears the last words: a call may have begun just before."""
        if not writer.is_closing():
            writer.write_eof()
        await asyncio.wait({gone}, timeout=KILL_SECONDS)
        if not gone.done():
            self._process.kill()
            await gone
        await asyncio.wait({talking}, timeout=LAST_WORDS_SECONDS)
        talking.cancel()
        writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, order: bytes) -> None:
        try:
            writer.write(order)
            await writer.drain()
            while self._answer is None and not self._garbled:
                await self._frame(reader)
        except (asyncio.IncompleteReadError, OSError):
            return  # the other end is closed: how it ended says the process

    async def _frame(self, reader: asyncio.StreamReader) -> None:
        kind = await reader.readexactly(1)
        if kind == b"b" and not self._begun:
            self._begun = True
            return
        (size,) = struct.unpack(">I", await reader.readexactly(4))
        if kind not in (b"t", b"a") or size > (self._job.most if kind == b"a" else MOST_TOLD):
            self._garbled = f"it wrote {kind!r} with {size} bytes to its line"
            return
        data = await reader.readexactly(size)
        if kind == b"a":
            self._answer = data
            return
        self._told += size
        if self._told <= TOLD_IN_ALL:  # what tells without end is not listened to without end
            self._tell(data)

    async def _gone(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        watched = os.pidfd_open(self._process.pid)
        loop.add_reader(watched, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)
        self._process.wait()

    def _ending(self, timed_out: bool, tail: bytes) -> Ending:
        how: Literal["answered", "timeout", "died", "garbled"] = "died"
        if self._answer is not None:
            how = "answered"
        elif self._garbled:
            how = "garbled"
        elif timed_out:
            how = "timeout"
        detail = self._garbled or _said(self._process.returncode)
        printed = tail.decode(errors="replace").strip()
        return Ending(how=how, begun=self._begun, answer=self._answer or b"", detail=detail, printed=printed)


def _said(code: int) -> str:
    """How the process ended, in words."""
    by_signal = code - 128 if code > 128 else -code
    if by_signal > 0:
        known = {s.value: s.name for s in signal.Signals}
        return f"ended by {known.get(by_signal, by_signal)}"
    return _OF_KEEPER.get(code, f"ended with exit code {code}")
