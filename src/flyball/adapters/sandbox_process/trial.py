"""Trial: an entry that looks at the process it runs in, and leaves a grandchild behind that must not survive."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import time

from flyball.ports.sandbox import Line

GET_DEATH_SIGNAL = 2
GET_NO_NEW_PRIVILEGES = 39


def main(_: bytes, line: Line) -> None:
    """Answers with what it found, as JSON: its limits, session, environment, and the grandchild's process id."""
    line.begin()
    prctl = ctypes.CDLL(None).prctl
    death = ctypes.c_int()
    prctl(GET_DEATH_SIGNAL, ctypes.byref(death), 0, 0, 0)
    found = {
        "own_session": os.getsid(0) == os.getpid(), "death_signal": death.value,
        "no_new_privileges": prctl(GET_NO_NEW_PRIVILEGES, 0, 0, 0, 0), "environment": sorted(os.environ),
        "memory": resource.getrlimit(resource.RLIMIT_AS)[0], "file": resource.getrlimit(resource.RLIMIT_FSIZE)[0],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0], "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "folder": os.getcwd(), "left": _leave(),
    }  # fmt: skip
    line.answer(json.dumps(found).encode())


def _leave() -> int:
    """A process in a session of its own whose parent is gone: what a daemon is."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        daemon = os.fork()
        if daemon == 0:
            time.sleep(60)
        else:
            os.write(write, str(daemon).encode())
        os._exit(0)
    daemon = int(os.read(read, 32))
    os.wait()
    return daemon
