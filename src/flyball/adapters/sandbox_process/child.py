"""The program in the child. Two processes for each call: a keeper that runs nobody's code, and the worker it forks.

The keeper is the subreaper of everything below it, so a grandchild in a session of its own comes back to it too. When
the worker ends, when the caller closes its end of the line, or when the caller dies, the keeper kills all of them.

Runs as a file under `python -I`; nothing of Flyball is imported before the worker has its limits.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from typing import Any, Final, NoReturn

SET_DEATH_SIGNAL: Final = 1
SET_SUBREAPER: Final = 36
SET_NO_NEW_PRIVILEGES: Final = 38
TICK_MS: Final = 100
SWEEP_SECONDS: Final = 5.0
# Exit codes of the keeper; a worker that a signal ended is 128 + signal, as in a shell.
ALONE: Final = 120
CROWDED: Final = 121
LEFT_OVER: Final = 122
_prctl: Final = ctypes.CDLL(None, use_errno=True).prctl


class SocketLine:
    """The worker's end: one byte for the beginning, else a kind, a length and that many bytes."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._lock = end, threading.Lock()

    def begin(self) -> None:
        """One byte, before anything that cannot be taken back."""
        self._end.sendall(b"b")

    def tell(self, data: bytes, /) -> None:
        """Something on the way."""
        self._send(b"t", data)

    def answer(self, data: bytes, /) -> None:
        """The end: the process is killed behind it, so what was printed goes first."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._send(b"a", data)

    def _send(self, kind: bytes, data: bytes) -> None:
        with self._lock:  # a tool may tell its progress from several threads
            self._end.sendall(kind + struct.pack(">I", len(data)) + data)


def process_control(option: int, value: int) -> None:
    """prctl(2); raises OSError where the kernel refuses."""
    if _prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def below(process: int) -> list[int]:
    """Every living descendant of a process."""
    found: list[int] = []
    queue = [process]
    while queue:
        folder = f"/proc/{queue.pop()}/task"
        try:
            for task in os.listdir(folder):
                with open(f"{folder}/{task}/children", encoding="ascii") as file:
                    queue += (children := [int(word) for word in file.read().split()])
                    found += children
        except OSError:  # it has ended meanwhile; its children are looked for below the subreaper
            continue
    return found


def sweep() -> bool:
    """Kills everything below this process and waits for its end. False where something would not go."""
    until = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < until:
        for process in below(os.getpid()):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        time.sleep(0.002)
    return False


def _end(code: int) -> NoReturn:
    os._exit(code if sweep() else LEFT_OVER)


def _read(end: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = end.recv(min(size - len(data), 65_536))
        if not part:
            os._exit(ALONE)
        data += part
    return bytes(data)


def _limit(order: dict[str, Any]) -> None:
    limits = {
        resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: order["cpu"], resource.RLIMIT_AS: order["memory"],
        resource.RLIMIT_FSIZE: order["file"], resource.RLIMIT_NOFILE: order["files"],
        resource.RLIMIT_NPROC: order["processes"] + _threads_of_user(),
    }  # fmt: skip
    for which, most in limits.items():
        hard = resource.getrlimit(which)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (allowed, allowed))


def _threads_of_user() -> int:
    # The kernel counts all threads of the user: what runs already must not use up what this call may start.
    count, user = 0, os.getuid()
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                told = os.stat(f"/proc/{name}/task")
            except OSError:
                continue
            count += told.st_nlink - 2 if told.st_uid == user else 0
    return count


def _work(end: socket.socket, keeper: int, order: dict[str, Any], given: bytes) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        process_control(SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != keeper:  # it died before the death signal was asked for
            os._exit(ALONE)
        process_control(SET_NO_NEW_PRIVILEGES, 1)
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")  # where memory runs out, this goes first and not the owner of the journal
        os.umask(0o077)
        _limit(order)
        sys.path[:] = order["path"]
        module, _, name = order["entry"].partition(":")
        getattr(importlib.import_module(module), name)(given, SocketLine(end))
        code = 0
    except BaseException:  # noqa: BLE001 - a station boundary: whatever it is, the caller reads it as a death
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(end: socket.socket, worker: int, most: int) -> int:
    """Until the worker has ended or must; the exit code that says how."""
    ended = os.pidfd_open(worker)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(end, select.POLLRDHUP)
    while True:
        ready = {fd for fd, _ in poll.poll(TICK_MS)}
        if ended in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
            return 128 - code if code < 0 else code
        if ready:
            return 0  # the caller has what it wants, or gave up, or is gone
        if len(below(os.getpid())) > most + 1:
            return CROWDED


def main() -> None:
    """Keeps one worker: argv is the line's file descriptor and the caller's process id."""
    end, caller = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: _end(ALONE))
    process_control(SET_SUBREAPER, 1)
    process_control(SET_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != caller:  # it died before the death signal was asked for
        os._exit(ALONE)
    head, body = struct.unpack(">II", _read(end, 8))
    order, given = json.loads(_read(end, head)), _read(end, body)
    keeper = os.getpid()
    worker = os.fork()
    if worker == 0:
        _work(end, keeper, order, given)
    del given  # secrets are the worker's alone
    _end(_watch(end, worker, order["processes"]))


if __name__ == "__main__":
    main()
