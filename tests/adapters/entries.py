"""What a sandbox runs in its tests: every entry is called in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from flyball.ports.sandbox import Line


def echo(given: bytes, line: Line) -> None:
    line.begin()
    line.tell(b"half")
    print("printed on the way")
    line.answer(given)


def looks(given: bytes, line: Line) -> None:
    line.answer(repr((sys.argv, dict(os.environ), sys.stdin.read(), os.listdir("."))).encode())


def fails(given: bytes, line: Line) -> None:
    line.begin()
    raise ValueError("no such day")


def quiet(given: bytes, line: Line) -> None:
    line.begin()


def leaves(given: bytes, line: Line) -> None:
    line.begin()
    os._exit(0)


def never_begins(given: bytes, line: Line) -> None:
    time.sleep(60)


def never_ends(given: bytes, line: Line) -> None:
    line.begin()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def spins(given: bytes, line: Line) -> None:
    line.begin()
    while True:
        pass


def fills_memory(given: bytes, line: Line) -> None:
    line.begin()
    line.answer(str(len(bytearray(2 << 30))).encode())


def fills_a_file(given: bytes, line: Line) -> None:
    line.begin()
    with open("large", "wb") as file:
        for _ in range(128):
            file.write(bytes(1 << 20))
    line.answer(b"")


def opens_files(given: bytes, line: Line) -> None:
    line.begin()
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(2_000)]
    line.answer(str(len(kept)).encode())


def forks_on(given: bytes, line: Line) -> None:
    line.begin()
    for _ in range(400):
        if os.fork() == 0:
            time.sleep(60)
    time.sleep(60)


def hides(given: bytes, line: Line) -> None:
    """Leaves a process in a session of its own, whose parent is gone, that holds its line and its output."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            Path(given.decode()).write_text(str(os.getpid()))
            time.sleep(60)
        os._exit(0)
    os.wait()
    while not Path(given.decode()).exists():
        time.sleep(0.01)
    line.begin()
    time.sleep(60)


def hides_and_answers(given: bytes, line: Line) -> None:
    threading.Timer(0.3, line.answer, [b"done"]).start()
    hides(given, line)


def _raw() -> socket.socket:
    ends = [int(name) for name in os.listdir("/proc/self/fd")]
    (line,) = [n for n in ends if n > 2 and _is_socket(n)]
    return socket.socket(fileno=line)


def _is_socket(number: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    except OSError:
        return False


def garbage(given: bytes, line: Line) -> None:
    line.begin()
    _raw().sendall(b"Traceback (most recent call last)")
    time.sleep(60)


def garbage_at_once(given: bytes, line: Line) -> None:
    _raw().sendall(b"?" * 64)
    time.sleep(60)


def fifty_megabytes(given: bytes, line: Line) -> None:
    line.begin()
    line.answer(bytes(50 << 20))


def fifty_megabytes_of_talk(given: bytes, line: Line) -> None:
    line.begin()
    for _ in range(1_000):
        line.tell(bytes(50_000))
    line.answer(b"done")


def prints_without_end(given: bytes, line: Line) -> None:
    line.begin()
    for _ in range(500):
        print("x" * 20_000)
    print("the end")
    line.answer(b"done")


def closes_its_line(given: bytes, line: Line) -> None:
    _raw().close()
    line.begin()


def closes_its_line_later(given: bytes, line: Line) -> None:
    line.begin()
    _raw().close()
    time.sleep(60)


def kills_itself(given: bytes, line: Line) -> None:
    line.begin()
    os.kill(os.getpid(), signal.SIGKILL)


def starts_a_program(given: bytes, line: Line) -> None:
    line.begin()
    told = subprocess.run(["echo", "there"], capture_output=True, check=True)
    line.answer(told.stdout)
