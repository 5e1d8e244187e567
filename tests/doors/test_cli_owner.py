"""Several real processes on one project: an owner that serves, others that ask it, and what is left when it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyball.app.control import session
from tests.doors.desk import Desk

PATIENCE = 20.0


def until(found: Callable[[], Any]) -> Any:
    """What is found, once it is."""
    late = time.monotonic() + PATIENCE
    while time.monotonic() < late:
        value = found()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it did not come")


def asked_by(desk: Desk) -> str:
    """The id of what waits, once something does."""

    def look() -> str:
        found = desk.json("approvals").get("approvals") or []
        return str(found[0]["id"]) if found else ""

    return str(until(look))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a process ended, and what it said."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out + err


@pytest.fixture
def people(desk: Desk) -> Desk:
    desk.people(fay="finance", noor="finance")
    return desk


@pytest.mark.promise("journal-owner-serves-a-socket")
def test_a_second_process_approves_what_the_owner_waits_for(people: Desk) -> None:
    with people.process("run", "handle", "30", "--wait") as owner:
        asked = asked_by(people)
        assert stat_of(people) == 0o600
        with people.process("approve", asked, "--reason", "fine", "--json", who="fay") as second:
            code, out = ended(second)
        assert (code, json.loads(out)["driven"]) == (0, True)
        code, out = ended(owner)
    assert code == 0 and '"paid 60 to acme"' in out
    assert not people.journal.with_name("desk.db.sock").exists() and people("ledger", "verify").code == 0


def stat_of(desk: Desk) -> int:
    return desk.journal.with_name("desk.db.sock").stat().st_mode & 0o777


@pytest.mark.promise("journal-owner-serves-a-socket")
def test_every_command_is_answered_by_the_owner(people: Desk) -> None:
    with people.process("run", "handle", "30", "--wait") as owner:
        asked = asked_by(people)
        run = asked.partition("/")[0]
        kinds = {
            ("runs",): "runs",
            ("show", run): "shown",
            ("approvals",): "approvals",
            ("budget", "show"): "budget",
            ("key", "list"): "keys",
            ("doctor",): "doctor",
            ("ledger", "verify"): "verification",
            ("ledger", "checkpoint"): "checkpoint",
            ("ledger", "prove", run): "proof",
            ("resume", run): "resumed",
            ("ledger", "export", "out"): "exported",
            ("verify", "out"): "verification",
            ("run", "looks", "1"): "run",
            ("key", "create", "zoe"): "key_created",
            ("key", "revoke", "zoe"): "key_revoked",
        }
        assert {args: people.json(*args)["kind"] for args in kinds} == kinds
        assert f"process {owner.pid} answers" in people("doctor").out
        assert people.json("stop", run, "--reason", "enough")["kind"] == "stopped"
        assert ended(owner)[0] == 7


@pytest.mark.promise("gate-approve-the-version-shown")
def test_an_edit_between_showing_and_approving_is_a_conflict_at_the_owner_too(people: Desk) -> None:
    with people.process("run", "handle", "30", "--wait") as owner:
        asked = asked_by(people)
        assert people("edit", asked, "cents=50", who="noor").code == 0
        again = until(lambda: [i for i in [asked_by(people)] if i != asked])[0]
        assert people("approve", asked, "--reason", "x", who="fay").code == 1
        assert asked_by(people) == again
        assert people("approve", again, "--reason", "x", who="fay").code == 0
        assert "paid 50 to acme" in ended(owner)[1]


@pytest.mark.promise("gate-agents-never-approve", "api-os-user-starts-only")
def test_the_operating_system_user_decides_nothing_at_the_owner_either(people: Desk) -> None:
    with people.process("run", "handle", "30", "--wait"):
        asked = asked_by(people)
        assert people("approve", asked, "--reason", "x").code == 3
        assert asked_by(people) == asked


@pytest.mark.promise("journal-commands-become-the-owner")
def test_when_the_owner_was_killed_the_next_command_becomes_the_owner(people: Desk) -> None:
    with people.process("run", "handle", "30", "--wait", "--key", "k") as owner:
        asked = asked_by(people)
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
    assert people.journal.with_name("desk.db.sock").exists()
    said = people("approve", asked, "--reason", "fine", who="fay")
    assert said.code == 0 and "nobody drives this run" in said.out
    assert people.json("run", "handle", "30", "--key", "k")["value"] == "paid 60 to acme"
    assert not people.journal.with_name("desk.db.sock").exists()


@pytest.mark.promise("journal-events-by-cursor")
def test_watch_reads_on_when_the_owner_has_gone(people: Desk) -> None:
    with people.process("run", "handle", "30", "--wait") as owner:
        asked = asked_by(people)
        run = asked.partition("/")[0]
        with people.process("watch", run) as watcher:
            assert watcher.stdout is not None
            assert "step_started" in watcher.stdout.readline()
            os.kill(owner.pid, signal.SIGKILL)
            owner.wait()
            assert people("deny", asked, "--reason", "no", "--resume", who="fay").code == 3
            code, out = ended(watcher)
    assert code == 0 and "ended  reason=approval_rejected" in out


def test_a_journal_that_is_owned_by_somebody_who_does_not_answer_is_unavailable(
    people: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PATIENCE_S", 0.3)
    with people.process("run", "handle", "30", "--wait") as owner:
        asked = asked_by(people)
        people.journal.with_name("desk.db.sock").unlink()
        said = people("approve", asked, "--reason", "x", who="fay")
        assert said.code == 75 and f"process {owner.pid} owns it" in said.err
        assert asked_by(people) == asked  # reading needs no owner


def test_an_owner_that_does_not_answer_is_busy(people: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE_S", 0.3)
    with people.process("run", "handle", "30", "--wait") as owner:
        asked = asked_by(people)
        os.kill(owner.pid, signal.SIGSTOP)
        said = people("approve", asked, "--reason", "x", who="fay")
        beside = people("runs")
        os.kill(owner.pid, signal.SIGCONT)
    assert said.code == 75 and "does not answer" in said.err
    assert beside.code == 0 and asked in beside.out  # the journal can be read beside it


def test_a_deep_project_is_reached_by_a_short_path(people: Desk) -> None:
    deep = people.folder / ("d" * 80)
    deep.mkdir()
    toml = Path("flyball.toml")
    toml.write_text(f'{toml.read_text()}[journal]\npath = "{deep}/desk.db"\n[signer]\nfile = "deep.signer"\n')
    people.people(sam="finance")
    with people.process("run", "handle", "30", "--wait") as owner:
        asked = asked_by(people)
        assert (deep / "desk.db.sock.at").exists()
        assert people("approve", asked, "--reason", "fine", who="sam").code == 0
        assert ended(owner)[0] == 0
    assert not (deep / "desk.db.sock.at").exists()


def test_interrupting_the_owner_leaves_the_run_where_it_is(people: Desk) -> None:
    with people.process("run", "handle", "30", "--wait") as owner:
        asked_by(people)
        owner.send_signal(signal.SIGINT)
        assert ended(owner)[0] == 130
    assert people.json("runs")["runs"][0]["state"] == "waiting"


def test_a_host_program_serves_its_terminals_too(people: Desk) -> None:
    program = (
        "import asyncio\nfrom flyball import Flyball, Principal\nfrom paydesk import handle\n"
        "async def main():\n    async with Flyball.open('flyball.toml') as app:\n"
        "        run = await app.start(handle, 30, by=Principal('user:kim'))\n"
        "        async for event in run.watch():\n            pass\n"
        "        print((await run.result()).value)\nasyncio.run(main())\n"
    )
    Path("host.py").write_text(program)
    with subprocess.Popen(
        [sys.executable, "host.py"], cwd=people.folder, env=people.environment(), text=True, stdout=subprocess.PIPE
    ) as host:
        assert people("approve", asked_by(people), "--reason", "fine", who="fay").code == 0
        assert host.communicate(timeout=PATIENCE)[0] == "paid 60 to acme\n"
