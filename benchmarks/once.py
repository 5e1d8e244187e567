"""A process that does one thing, says so in one line of JSON, and ends or is killed with SIGKILL."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]


def once(module: str, *arguments: object, python: str = sys.executable) -> dict[str, Any]:
    """What a worker says; `since` is added: seconds from before it was started until it had said it."""
    with _begun(module, arguments, python) as (process, began):
        told = _line(module, process) | {"since": time.monotonic() - began}
        process.wait()
        return told


def killed(module: str, *arguments: object, python: str = sys.executable) -> dict[str, Any]:
    """The same; the worker is killed as soon as it has said it."""
    with _begun(module, arguments, python) as (process, began):
        return _line(module, process) | {"since": time.monotonic() - began}


@contextmanager
def _begun(module: str, arguments: tuple[object, ...], python: str) -> Iterator[tuple[subprocess.Popen[str], float]]:
    began = time.monotonic()
    command = [python, "-m", f"benchmarks.workers.{module}", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process, began
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _line(module: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{module} ended with {process.wait()}; see above")
    told: dict[str, Any] = json.loads(line)
    return told
