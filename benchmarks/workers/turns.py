"""The worker's half of a round: one line of JSON in, one line of JSON out. Standard library only.

Time is that of the round itself; processor time is that of the whole process, every thread of it, in the round.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

Round = Callable[..., Mapping[str, Any]]


def cpu_seconds() -> float:
    """Processor time of this process and of its ended children so far, in seconds."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def resident_mib() -> float:
    """Memory of this process that is resident now, in MiB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def say(told: Mapping[str, Any]) -> None:
    """Says one line to whoever started this process."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def take_turns(rounds: Round, *packages: str) -> None:
    """Says that it is ready, naming the versions of `packages`; then does a round for each line until there is none.

    `rounds` gets the line's fields by name and returns what is told besides `seconds` and `cpu`. Whatever libraries
    print goes to standard error: standard output carries answers and nothing else.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps({"versions": {name: version(name) for name in packages}}), file=answers)
    for asked in _lines():
        cpu, began = cpu_seconds(), time.perf_counter()
        told = rounds(**asked)
        took = time.perf_counter() - began
        print(json.dumps({"seconds": took, "cpu": cpu_seconds() - cpu, **told}), file=answers)


def _lines() -> Iterator[dict[str, Any]]:
    while line := sys.stdin.readline():
        yield json.loads(line)
