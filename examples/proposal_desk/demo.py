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
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seed import HONEST, TRICKED, seed

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
            print(f"   {f'{who}: ' if who else ''}$ flyball {shlex.join(words)}", flush=True)
        done = subprocess.run([*_command(), *words], cwd=HERE, env=env, text=True, capture_output=True)
        if show:
            _indented(done.stdout)
        if done.returncode not in may:
            _indented(done.stderr)
            raise SystemExit(f"flyball {words[0]} ended with {done.returncode}")
        return done.stdout

    def asked(self) -> list[dict[str, Any]]:
        """What waits for somebody, from `flyball approvals`."""
        found: list[dict[str, Any]] = json.loads(self.flyball("approvals", "--json", show=False))["approvals"]
        return found

    def align(self) -> None:
        """Everybody who is asked decides, each with their own key."""
        for pending in self.asked():
            for group in pending["groups"]:
                self.decide(pending["id"], pending["kind"], group)

    def decide(self, pending: str, kind: str, group: str) -> None:
        """One person's decision: legal answers, security refuses, the others approve."""
        who = PEOPLE[group]
        if kind == "question":
            self.flyball("answer", pending, "true", who=who)
        elif group == "security":
            self.flyball("deny", pending, "--reason", REASONS[group], who=who)
        else:
            self.flyball("approve", pending, "--reason", REASONS[group], who=who)

    def work(self, customer: str, key: str, **env: str) -> tuple[str, int]:
        """The worker on one request, until it ends or dies: the run, and how the process ended."""
        command = [sys.executable, str(HERE / "worker.py"), customer, WISH, "--key", key]
        run = ""
        with subprocess.Popen(command, cwd=HERE, env=self.env | env, text=True, stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            patience = threading.Timer(PATIENCE, worker.kill)
            patience.start()
            try:
                for line in worker.stdout:
                    word, _, told = line.partition(" ")
                    facts = json.loads(told)
                    shown = _line(word, facts)
                    if shown:
                        print(f"   worker: {shown}", flush=True)
                    run = facts["id"] if word == "run" else run
                    if word == "waiting":
                        self.align()
            except BaseException:
                worker.kill()
                raise
            finally:
                patience.cancel()
        return run, worker.returncode

    def mails(self) -> None:
        """What the mail server accepted, counted by another process."""
        print(f"   $ python smtp_server.py {STATE.name}/mail --list", flush=True)
        command = [sys.executable, str(HERE / "smtp_server.py"), str(STATE / "mail"), "--list"]
        _indented(subprocess.run(command, cwd=HERE, env=self.env, text=True, capture_output=True, check=True).stdout)


def _line(word: str, facts: Mapping[str, Any]) -> str:
    """A recorded event as a line for a person; empty for what the next event says too."""
    at = f"{facts.get('path', ''):<5}"
    if word == "decided":
        why = "" if facts["outcome"] == "allow" else f"  because of {', '.join(facts.get('policies', ()))}"
        return f"{at} {facts.get('by', 'flow'):<10} {facts['action']:<15} {facts['outcome']}{why}"
    if word == "executed":
        good = facts["status"] == "executed" and not facts.get("code", "").startswith("result")
        return "" if good else f"{at} {'':<10} {facts['action']:<15} {facts['status']} ({facts.get('code', '')})"
    if word == "waiting" and facts.get("about"):
        return f"{at} waits for {', '.join(facts.get('groups', ()))}: {facts['about']}"
    if word == "answered":
        why = f": {facts['reason']}" if facts.get("reason") else ""
        return f"{at} {facts['what']} by {facts.get('by', '')}{why}"
    if word == "ended":
        return f"      the run ended: {facts['reason']} {facts.get('detail', '')}".rstrip()
    return f"      run {facts['id']}" if word == "run" else ""


def _command() -> list[str]:
    script = Path(sys.executable).with_name("flyball")
    return [str(script)] if script.exists() else [sys.executable, "-m", "flyball"]


def _indented(text: str) -> None:
    for line in text.splitlines():
        # Every command says that the model is a script; here it is said once, at the top.
        if not line.startswith("note: scripted"):
            print(f"      {line}", flush=True)


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
        demo.stage("The people who must agree: each makes a key")
        for group, name in PEOPLE.items():
            demo.flyball("key", "create", name, "--group", group)
        first = honest(demo)
        second = tricked(demo)
        evidence(demo, first, second)


def honest(demo: Demo) -> str:
    """A customer as they should be; the worker dies once, right after the mail server said 250."""
    demo.stage(f"A proposal for {HONEST}: the worker starts, and waits where somebody must look")
    run, code = demo.work(HONEST, "demo-honest", DESK_CRASH_ONCE=str(STATE / "crashed"))
    if code == SIGKILL:
        demo.stage("The worker's process was killed (SIGKILL) after the mail server's 250: what is out there?")
        demo.mails()
        demo.stage("Recovery: another process takes the run up again")
        demo.flyball("resume", run, may=(0, 3))
    demo.mails()
    return run


def tricked(demo: Demo) -> str:
    """A customer whose notes speak to the model."""
    demo.stage(f"A proposal for {TRICKED}: a note tells the model to mail the price list to a stranger")
    run, _ = demo.work(TRICKED, "demo-tricked")
    demo.mails()
    return run


def evidence(demo: Demo, first: str, second: str) -> None:
    """What an outsider can check."""
    demo.stage("Who did what, under whose authority, and why")
    demo.flyball("show", first)
    demo.flyball("show", second)
    demo.stage("The evidence, taken elsewhere and checked there")
    out = f"{STATE.name}/evidence"
    demo.flyball("ledger", "export", out)
    demo.flyball("verify", out)
    demo.stage("Look further")
    for words in (f"show {first}", f"replay {first}", "runs", f"ledger prove {first}", "policy explain send_proposal"):
        print(f"   cd {shlex.quote(str(HERE))} && {shlex.join(_command())} {words}")


if __name__ == "__main__":
    main()
