"""A real project on disk to tamper with: database, keys, signer, an export with disclosures, a kept checkpoint.

It is made by the command line: a run that needed no approval, one that was approved, one that was denied by a person,
one that policy denied, one whose outcome is unknown, one that waits.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from flyball.app.plugs import adapter
from flyball.app.project import load
from flyball.app.rooms import LedgerRoom
from flyball.app.wiring import plugged, wire
from flyball.core.config import Config, Handle
from flyball.core.errors import FlyballError
from flyball.doors.cli.main import main
from flyball.verify.directory import verify_directory
from flyball.verify.report import Report
from tests.doors.desk import POLICY, TOOLS

TOML = """flyball = 1
[project]
name = "desk"
modules = ["paydesk"]
policies = "policies"
[journal]
path = "state/desk.db"
[signer]
file = "keys/desk.signer"
[keys]
root = "file:keys/root"
"""


@dataclass(frozen=True)
class Verdict:
    """What was said: `refused` with an error's code, `found` with the checks that failed, or `silent`."""

    how: str
    what: str
    told: str = ""


class World:
    """One project in a folder; `copy` makes another one to spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database, self.export = folder / "state" / "desk.db", folder / "export"
        self.keyring, self.signer, self.root = (
            folder / "state" / "desk.keys",
            folder / "keys/desk.signer",
            folder / "keys/root",
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        """What its making told: run ids, the verifier key, the approver's key id."""
        found: dict[str, Any] = json.loads((self.folder / "facts.json").read_text())
        return found

    @property
    def kept(self) -> str:
        """The checkpoint that somebody kept elsewhere, from before the last run."""
        return (self.folder / "kept.checkpoint").read_text()

    def restore(self, *names: str) -> None:
        """Puts the backup of `state` or `keys`, from after the first run, in its place."""
        for name in names:
            shutil.rmtree(self.folder / name)
            shutil.copytree(self.folder / "backup" / name, self.folder / name)

    def copy(self, target: Path) -> World:
        """The same project in another folder."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.folder, target)
        return World(target)

    def offline(self, *, outside: bool = False) -> Verdict:
        """What `flyball verify` says of the export, under the key from elsewhere; ``outside``: with the checkpoint."""
        return self.offline_at(self.export, self, outside=outside)

    def offline_at(self, export: Path, known: World, *, outside: bool = False) -> Verdict:
        """What is said of another export under what is known of a world."""
        older = [known.kept] if outside else []
        try:
            return told(verify_directory(export, vkey=known.facts["vkey"], older=older))
        except FlyballError as refused:
            return Verdict("refused", refused.code)

    def online(self) -> Verdict:
        """What opening the project and `flyball ledger verify` say."""
        with entered(self.folder):
            answer = said("ledger", "verify")
        if answer["kind"] == "error":
            return Verdict("refused", answer["code"])
        bad = ",".join(sorted(check["name"] for check in answer["checks"] if not check["ok"]))
        return Verdict("found", bad) if bad else Verdict("silent", "", answer["summary"])


def told(report: Report) -> Verdict:
    """A report as a verdict."""
    bad = ",".join(sorted(check.name for check in report.checks if not check.ok))
    return Verdict("found", bad) if bad else Verdict("silent", "", report.summary)


def made(folder: Path) -> World:
    """Makes the project; it takes some seconds."""
    world = World(folder)
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "desk.cedar").write_text(POLICY)
    (folder / "paydesk.py").write_text(TOOLS)
    (folder / "flyball.toml").write_text(TOML)
    with entered(folder):
        for name in ("fay", "sam"):
            say("key", "create", name, "--group", "finance")
        say("run", "handle", "3", "--key", "first")
        say("ledger", "export", "early")
        shutil.copytree("state", "backup/state")
        shutil.copytree("keys", "backup/keys")
        approved, key = _waiting("handle", "30"), _key("fay")
        say("approve", approved["id"], "--reason", "it is due", "--resume", who="fay")
        kept = say("ledger", "checkpoint")["checkpoint"]
        say("deny", _waiting("handle", "40")["id"], "--reason", "too much", "--resume", who="fay")
        say("run", "forbidden", "1")
        say("run", "risky", "1")
        _waiting("handle", "50")
        _waiting("ask", f'"{"x" * 3000}"')
        run = approved["run"]
        vkey = say("ledger", "export", "export", "--disclose", run)["vkey"]
        (folder / "kept.checkpoint").write_text(kept)
        (folder / "facts.json").write_text(json.dumps({"vkey": vkey, "approver": key, "run": run}))
    return world


def _waiting(flow: str, argument: str) -> dict[str, Any]:
    run = say("run", flow, argument)["run"]
    found = [one for one in say("approvals")["approvals"] if one["run"] == run]
    return dict(found[0])


def _key(name: str) -> str:
    return str(next(one["key"] for one in say("key", "list")["keys"] if one["name"] == name))


def say(*args: str, who: str = "") -> dict[str, Any]:
    """The answer of a command that must not fail."""
    answer = said(*args, who=who)
    assert answer["kind"] != "error", answer
    return answer


def said(*args: str, who: str = "") -> dict[str, Any]:
    """The answer of a command line, as a person with a key or as the operating-system user."""
    os.environ.pop("FLYBALL_KEY", None)
    if who:
        os.environ["FLYBALL_KEY"] = str(Path("keys") / f"{who}.key")
    sys.modules.pop("paydesk", None)
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        main([*args, "--json"])
    lines = [line for line in out.getvalue().splitlines() if line.startswith("{")]
    answer: dict[str, Any] = json.loads(lines[0])
    return answer


@contextmanager
def entered(folder: Path) -> Iterator[None]:
    """In the project's folder, with its own home."""
    before, environment = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    os.environ |= {"HOME": str(folder / "home"), "FLYBALL_KEY_DIR": "keys"}
    sys.modules.pop("paydesk", None)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)


class Fast:
    """Opens a spoiled copy as a project does, as far as its log goes, and verifies it: the same code, many times."""

    def __init__(self, world: World) -> None:
        with entered(world.folder):
            self._config: Config = adapter("config").load("flyball.toml", None).config
            self._project = load("desk", world.folder, ("paydesk",))

    def verdict(self, world: World) -> Verdict:
        """As `World.online`."""
        try:
            return told(asyncio.run(self._verified(self._of(world))))
        except FlyballError as refused:
            return Verdict("refused", refused.code)

    @contextmanager
    def owned(self, world: World) -> Iterator[None]:
        """While another owner has the journal."""
        with asyncio.Runner() as runner:
            ports = plugged(self._of(world))
            runner.run(ports.__aenter__())
            try:
                yield
            finally:
                runner.run(ports.__aexit__(None, None, None))

    def _of(self, world: World) -> Config:
        old, new, own = self._config.directory, str(world.folder), self._config
        return replace(
            own, journal=replace(own.journal, path=own.journal.path.replace(old, new)),
            signer=replace(own.signer, file=own.signer.file.replace(old, new)),
            keys=replace(own.keys, root=Handle("file", own.keys.root.name.replace(old, new))),
        )  # fmt: skip

    async def _verified(self, config: Config) -> Report:
        async with plugged(config) as ports:
            rooms = wire(config, self._project, ports)
            for tenant in sorted({*ports.journal.tenants(), *rooms.ledger.signed()}):
                await rooms.ledger.open(tenant)
            return await LedgerRoom(rooms).verify()
