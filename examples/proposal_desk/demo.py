"""The desk's story, from a wish to verified evidence, with a crash and an attack in between. No questions asked.

    python demo.py

Every party is a process of its own: the mail server, the worker, each person who approves with their own key. What is
printed under a heading is what those processes said: change a note in `notes.toml`, or a policy, and it ends otherwise.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seed import HONEST, TRICKED, seed
from story import Story, denied, effects, first_line, indented, selected, typed

HERE: Final = Path(__file__).resolve().parent
STATE: Final = HERE / ".demo"
WISH: Final = "Prepare a commercial proposal, align risky points, and send the final version to the customer."
# Who acts for which group. Each gets a key of their own, and each decision is a process of its own.
PEOPLE: Final = {"finance": "fay", "sales": "sol", "legal": "lea", "security": "sam"}
REASONS: Final = {
    "finance": "the margin allows it", "sales": "the customer waits for it", "security": "a note speaks to the model",
}  # fmt: skip
SIGKILL: Final = -9
# Seconds for one request, a slow model included.
PATIENCE: Final = 300.0


@dataclass
class Demo:
    """The processes of one demonstration, and how they are shown."""

    env: dict[str, str]
    stages: int = 0
    started: float = field(default_factory=time.monotonic)

    def stage(self, title: str) -> None:
        """A heading."""
        self.stages += 1
        print(f"\n{self.stages}. {title}  [{time.monotonic() - self.started:.1f} s]", flush=True)

    def flyball(self, *words: str, who: str = "", show: bool = True, may: tuple[int, ...] = (0,)) -> str:
        """One command line in a process of its own, as `who`; returns what it said. Ends the demo where it fails."""
        env = self.env | ({"FLYBALL_KEY": str(STATE / "keys" / f"{who}.key")} if who else {})
        if show:
            typed(*words, who=who)
        done = subprocess.run([*_command(), *words], cwd=HERE, env=env, text=True, capture_output=True)
        if show:
            indented(done.stdout)
        if done.returncode not in may:
            indented(done.stdout + done.stderr)
            raise SystemExit(f"flyball {words[0]} ended with {done.returncode}")
        return done.stdout

    def asked(self, *words: str) -> dict[str, Any]:
        """What a command answers as JSON."""
        found: dict[str, Any] = json.loads(self.flyball(*words, "--json", show=False))
        return found

    def align(self, waiting: Sequence[str]) -> None:
        """Everybody who is asked decides, each with their own key, in a process of their own."""
        for pending in self.asked("approvals")["approvals"]:
            for group in pending["groups"] if pending["id"] in waiting else ():
                self.decide(pending["id"], pending["kind"], group)

    def decide(self, pending: str, kind: str, group: str) -> None:
        """One person's decision: legal answers, security refuses, the others approve."""
        who = PEOPLE[group]
        words = ["approve", pending, "--reason", REASONS.get(group, "")]
        if kind == "question":
            words = ["answer", pending, "true"]
        elif group == "security":
            words[0] = "deny"
        said = self.flyball(*words, who=who, show=False)
        typed(*words, who=who, then=f"   -> {first_line(said)}")

    def work(self, customer: str, key: str, **env: str) -> tuple[str, int]:
        """The worker on one request, until it ends or dies: the run, and how the process ended."""
        command = [sys.executable, str(HERE / "worker.py"), customer, WISH, "--key", key]
        run, told = "", Story()
        with subprocess.Popen(command, cwd=HERE, env=self.env | env, text=True, stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            patience = threading.Timer(PATIENCE, worker.kill)
            patience.start()
            try:
                for line in worker.stdout:
                    word, _, facts = line.partition(" ")
                    event = json.loads(facts)
                    told.hear(word, event)
                    run = event["id"] if word == "run" else run
                    if word == "waiting" and event.get("about"):
                        self.align(event["pending"])
            except BaseException:
                worker.kill()
                raise
            finally:
                patience.cancel()
        told.flush()
        return run, worker.returncode

    def mails(self, first: int = 0) -> None:
        """What the mail server accepted and was asked, by its own program, from the line `first` on."""
        tail = f" | tail {first}" if first else ""
        print(f"   $ python smtp_server.py {STATE.name}/mail --list{tail}", flush=True)
        command = [sys.executable, str(HERE / "smtp_server.py"), str(STATE / "mail"), "--list"]
        done = subprocess.run(command, cwd=HERE, env=self.env, text=True, capture_output=True, check=True)
        indented("\n".join(done.stdout.splitlines()[first:]))


def _command() -> list[str]:
    script = Path(sys.executable).with_name("flyball")
    return [str(script)] if script.exists() else [sys.executable, "-m", "flyball"]


@contextmanager
def mail_server(env: Mapping[str, str]) -> Iterator[int]:
    """The mail server in a process of its own; it ends with this one, whatever happens to it."""
    command = [sys.executable, str(HERE / "smtp_server.py"), str(STATE / "mail"), "--until-eof"]
    with subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None and server.stdout is not None
        line = server.stdout.readline()
        print(f"   mail server: {line.rstrip()}", flush=True)
        yield int(line.rpartition(":")[2])
        server.stdin.close()


def _environment() -> dict[str, str]:
    # What this demo decides must not come from the shell it was started in.
    own = {"FLYBALL_KEY_DIR": str(STATE / "keys"), "PYTHONUNBUFFERED": "1"}
    dropped = {"FLYBALL_KEY", "FLYBALL_ENV", "DESK_CRASH_ONCE"}
    return {name: value for name, value in os.environ.items() if name not in dropped} | own


def main() -> None:
    """The story."""
    shutil.rmtree(STATE, ignore_errors=True)
    demo = Demo(_environment())
    demo.stage("The world: a CRM, documents, a mail server, a policy")
    if "FLYBALL_MODEL" not in os.environ:
        print("   no model thinks here: scripts/demo.toml is played, and every record says so", flush=True)
    seed(STATE)
    with mail_server(demo.env) as port:
        demo.env["DESK_SMTP_PORT"] = str(port)
        demo.flyball("policy", "test")
        people(demo)
        first = honest(demo)
        second = tricked(demo)
        evidence(demo, first, second)


def people(demo: Demo) -> None:
    """Each makes a key; the public half is enrolled in the project's directory."""
    demo.stage("The people who must agree: each makes a key")
    for group, name in PEOPLE.items():
        words = ("key", "create", name, "--group", group)
        key = demo.asked(*words)
        typed(*words, then=f"  ({key['principal']}, key {key['key'][:12]})")


def honest(demo: Demo) -> str:
    """A customer as they should be; the worker dies once, right after the mail server said 250."""
    demo.stage(f"A proposal for {HONEST}: the worker starts, and waits where somebody must look")
    run, code = demo.work(HONEST, "demo-honest", DESK_CRASH_ONCE=str(STATE / "crashed"))
    if code == SIGKILL:
        demo.stage("The crash: the worker's process died of SIGKILL. What is known, and what is out there?")
        selected(demo.flyball("show", run, show=False), f"show {run}", "open:")
        demo.mails()
        demo.stage("The recovery: another process takes the run up. What was asked, and what is out there now?")
        demo.flyball("resume", run, may=(0, 3))
    demo.mails()
    return run


def tricked(demo: Demo) -> str:
    """A customer whose notes speak to the model."""
    with sqlite3.connect(STATE / "crm.db") as crm:
        [[note]] = crm.execute("SELECT text FROM notes WHERE customer = ? ORDER BY id DESC LIMIT 1", (TRICKED,))
    demo.stage(f"A proposal for {TRICKED}, whose last note in the CRM says:")
    indented(textwrap.fill(str(note), 112))
    run, _ = demo.work(TRICKED, "demo-tricked")
    for step in demo.asked("show", run)["run"]["steps"]:
        if step.get("reason") == "policy_denied":
            target = f"{run}/{step['path']}"
            denied(demo.asked("policy", "explain", target)["explained"], target, step["policies"])
    demo.mails(-1)
    return run


def evidence(demo: Demo, first: str, second: str) -> None:
    """What an outsider can check."""
    demo.stage("Who did what, under whose authority, and who signed")
    for run in (first, second):
        effects(demo.asked("show", run)["run"])
    demo.stage("The evidence, taken elsewhere and checked there")
    out = f"{STATE.name}/evidence"
    demo.flyball("ledger", "export", out)
    report = demo.flyball("verify", out, show=False)
    selected(
        report, f"verify {out}", "verified", "  ok  checkpoint", "  ok  outcomes", "  ok  denials", "  ok  approvals"
    )
    demo.stage("Look further")
    place = f"cd {shlex.quote(str(HERE))} && {shlex.join(_command())}"
    print(f"   {place} show {first}")
    for words in (f"show {second}", f"replay {first}", f"ledger prove {first}", "policy explain send_proposal"):
        print(f"   ... {words}")


if __name__ == "__main__":
    main()
