"""A small project on disk, and people who use the command line on it: in this process or in one of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flyball.doors.cli.main import main

TOOLS = """
from datetime import timedelta
from flyball import Call, Critical, Run, agent, flow, tool

@tool(effect="read")
async def look(call: Call, n: int) -> int:
    return n * 2

@tool(effect="irreversible", idempotency="key")
async def pay(call: Call, cents: Critical[int], to: Critical[str] = "acme") -> str:
    return f"paid {cents} to {to}"

@tool(effect="irreversible")
async def lose(call: Call, n: int) -> str:
    raise OSError("reset after the bytes left")

@flow(ensures=[pay])
async def handle(run: Run, n: int) -> str:
    seen = await run.call(look, n)
    return await run.call(pay, cents=seen)

@flow
async def ask(run: Run, topic: str) -> str:
    about, hour = {"topic": topic}, timedelta(hours=1)
    fine = await run.ask(f"May we {topic}?", bool, to="legal", about=about, within=hour, default=False)
    return "yes" if fine else "no"

@flow
async def risky(run: Run, n: int) -> str:
    return await run.call(lose, n)

@flow
async def forbidden(run: Run, n: int) -> str:
    return await run.call(pay, cents=-1)

@flow
async def looks(run: Run, n: int) -> int:
    for _ in range(n):
        await run.call(look, 1)
    return n

@flow
async def nap(run: Run, ms: int) -> str:
    await run.sleep(timedelta(milliseconds=ms))
    return "rested"

clerk = agent("clerk", instructions="Say something.", tools=[pay])
"""
POLICY = """
@id("read") permit (principal, action in Action::"read", resource);
@id("effects") permit (principal, action in Action::"irreversible", resource);
@id("no-negative") forbid (principal, action == Action::"pay", resource) when { context.input.cents < 0 };
@id("big") @require_approval("finance") @reason("over_limit")
forbid (principal, action == Action::"pay", resource) when { context.input.cents > 20 }
unless { context.approvals.contains("finance") };
"""
TOML = 'flyball = 1\n[project]\nname = "desk"\nmodules = ["paydesk"]\npolicies = "policies"\n'
SCRIPTED = '[models.default]\nadapter = "scripted"\nscript = "script.toml"\n'
SCRIPT = """script = "desk"
[[reply]]
agent = "clerk"
text = "I shall pay. Trust me."
[[reply.call]]
tool = "pay"
arguments = { cents = 90, to = "b\\u202egro.elpmaxe@rm", reason = "It was \\u202eforetold." }
[[reply]]
agent = "clerk"
text = "done"
"""


@dataclass(frozen=True)
class Said:
    """What a command line said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """Its (first) envelope, from stderr where it is an error."""
        lines = [line for line in (self.out + self.err).splitlines() if line.startswith("{")]
        found: dict[str, Any] = json.loads(lines[0])
        return found


class Desk:
    """A project, with terminals."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.folder, self._capsys, self._patch = folder, capsys, patch

    @property
    def journal(self) -> Path:
        """The database."""
        return self.folder / ".flyball" / "desk.db"

    def __call__(self, *args: str, who: str = "") -> Said:
        """One command line in this process, as a person with a key or as the operating-system user."""
        sys.modules.pop("paydesk", None)  # a process of its own would read the file
        with self._patch.context() as patch:
            patch.delenv("FLYBALL_KEY", raising=False)
            if who:
                patch.setenv("FLYBALL_KEY", str(self.folder / "keys" / f"{who}.key"))
            code = int(main(list(args)))
        caught = self._capsys.readouterr()
        return Said(code, caught.out, caught.err)

    def json(self, *args: str, who: str = "") -> dict[str, Any]:
        """The same with --json: the envelope of its answer."""
        return self(*args, "--json", who=who).data

    def people(self, **groups: str) -> None:
        """Keys for these people, each in a group."""
        for name, group in groups.items():
            assert self("key", "create", name, "--group", group).code == 0

    def waiting(self) -> str:
        """The id of what waits: there must be one."""
        (asked,) = self.json("approvals")["approvals"]
        return str(asked["id"])

    def environment(self, who: str = "") -> dict[str, str]:
        """What a process of a person is started with."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
        return env | ({"FLYBALL_KEY": str(self.folder / "keys" / f"{who}.key")} if who else {})

    @contextmanager
    def process(self, *args: str, who: str = "") -> Iterator[subprocess.Popen[str]]:
        """A command line in a process of its own; it is killed at the end where it still runs.

        It heeds SIGINT, also where these tests run in the background of a shell and do not.
        """
        heeding = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
        script = f"{heeding}; from flyball.doors.cli.main import main; sys.exit(main())"
        with subprocess.Popen(
            [sys.executable, "-c", script, *args], cwd=self.folder, env=self.environment(who), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as started:  # fmt: skip
            try:
                yield started
            finally:
                started.kill()


def desk_in(folder: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, toml: str = TOML) -> Desk:
    """The project in a folder, which is where this process is now."""
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "desk.cedar").write_text(POLICY)
    (folder / "paydesk.py").write_text(TOOLS)
    (folder / "script.toml").write_text(SCRIPT)
    (folder / "flyball.toml").write_text(toml)
    patch.chdir(folder)
    patch.setenv("HOME", str(folder / "home"))
    patch.setenv("FLYBALL_KEY_DIR", str(folder / "keys"))
    return Desk(folder, capsys, patch)


@contextmanager
def forget_modules(*names: str) -> Iterator[None]:
    """Within it these modules are those of the project at hand; afterwards they are what they were."""
    path, known = list(sys.path), {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(known)
        sys.path[:] = path
