"""A contest: processes that take turns at the same work, A B A B, and stand still while it is not their turn."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.once import ROOT

PEERS: Final = ROOT / ".venv-peers" / "bin" / "python"

Told = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Who takes part: a module of `benchmarks.workers` with its arguments, here or in the peers' environment."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    peer: bool = False

    @property
    def python(self) -> str:
        """The interpreter that it runs on."""
        return str(PEERS) if self.peer else sys.executable


class Contestant:
    """A running worker."""

    def __init__(self, entry: Entry, folder: Path) -> None:
        self.name = entry.name
        self._log = folder / "stderr"
        command = [entry.python, "-m", f"benchmarks.workers.{entry.module}", str(folder), *entry.arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.ready = self._answer()
        self._still(True)

    def turn(self, asked: Mapping[str, Any]) -> Told:
        """One round of it; everybody else stands still."""
        self._still(False)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        told = self._answer()
        self._still(True)
        return told

    def close(self) -> None:
        """Ends it, in order where it does so by itself."""
        self._still(False)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _answer(self) -> Told:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            said = self._log.read_text("utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {said}")
        answer: Told = json.loads(line)
        return answer

    def _still(self, still: bool) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP if still else signal.SIGCONT)


@contextmanager
def contest(entries: Sequence[Entry], folder: Path) -> Iterator[list[Contestant]]:
    """The entries, started, each in a folder of its own; peers only where their environment is there."""
    with ExitStack() as stack:
        started = list[Contestant]()
        for number, entry in enumerate(entries):
            if entry.peer and not PEERS.exists():
                continue
            place = folder / f"{number}-{entry.module}"
            place.mkdir(parents=True)
            started.append(Contestant(entry, place))
            stack.callback(started[-1].close)
        yield started


def take_rounds(
    those: Sequence[Contestant], rounds: int, asked: Mapping[str, Any], warm: Mapping[str, Any]
) -> dict[str, list[Told]]:
    """What each told in each round: one round to warm up that is not counted, then A B A B."""
    for each in those:
        each.turn(warm)
    told: dict[str, list[Told]] = {each.name: [] for each in those}
    for _ in range(rounds):
        for each in those:
            told[each.name].append(each.turn(asked))
    return told


def versions(those: Sequence[Contestant]) -> dict[str, str]:
    """The versions that they named."""
    return {name: number for each in those for name, number in each.ready["versions"].items()}
