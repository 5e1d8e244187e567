"""A small project on disk that can be edited and opened again over the same memory: what a deployment does."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from flyball.app.flyball import Flyball
from flyball.app.plugs import adapter
from flyball.app.project import Project, collect
from flyball.app.wiring import Ports
from flyball.core.identity import Principal
from flyball.testing.engine import cedar

KIM = Principal("user:kim", groups=frozenset({"support"}))
FAY = Principal("user:fay", groups=frozenset({"finance"}))
ANN = Principal("user:ann", groups=frozenset({"admin"}))

POLICY = """
@id("read") permit (principal, action in Action::"read", resource);
@id("note") permit (principal, action == Action::"note", resource);
@id("pay") permit (principal in Group::"support", action == Action::"pay", resource);
@id("big") @require_approval("finance") @reason("over_limit")
forbid (principal, action == Action::"pay", resource)
when { context.input.cents > 20 } unless { context.approvals.contains("finance") };
"""
CASES = """
[[case]]
name = "a small one goes"
tool = "pay"
by = { id = "user:kim", groups = ["support"] }
input = { cents = 5 }
expect = "allow"
"""
CODE = '''
from flyball.core.call import Call
from flyball.core.flow import flow
from flyball.core.marks import Critical
from flyball.core.tool import tool
from flyball.runtime.flow.run import Run

PAID = []

@tool(effect="read")
async def look(call: Call, n: int) -> int:
    """Look something up."""
    return n * 2

@tool(effect="irreversible", idempotency="key")
async def pay(call: Call, cents: Critical[int]) -> str:
    """Pay."""
    PAID.append(cents)
    return f"paid {cents}"

@tool(effect="reversible")
async def note(call: Call, text: str) -> None:
    """Note something down."""

@flow
async def handle(run: Run, n: int) -> str:
    doubled = await run.call(look, n)
    return await run.call(pay, cents=doubled)
'''


class Shop:
    """The project's folder, and everything that survives a deployment."""

    def __init__(self, folder: Path, code: str = CODE, policy: str = POLICY, cases: str = "") -> None:
        self.folder = folder
        (folder / "policies").mkdir(parents=True)
        self.write(code=code, policy=policy, cases=cases)
        entropy = adapter("entropy")()
        self.ports = Ports(
            journal=adapter("journal.memory")(entropy), keyring=adapter("keyring.memory")(),
            signer=adapter("signer.memory")("shop"), engine=cedar(), clock=adapter("clock")(), entropy=entropy,
            models={}, prices=adapter("prices")(None),
        )  # fmt: skip

    def write(self, *, code: str | None = None, policy: str | None = None, cases: str | None = None) -> None:
        for name, text in (("shop_flows.py", code), ("policies/p.cedar", policy), ("policies/p.test.toml", cases)):
            if text is not None:
                (self.folder / name).write_text(text)

    def edit(self, old: str, new: str) -> None:
        source = (self.folder / "shop_flows.py").read_text()
        assert old in source
        self.write(code=source.replace(old, new))

    @property
    def project(self) -> Project:
        file = self.folder / "shop_flows.py"
        spec = importlib.util.spec_from_file_location("shop_flows", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["shop_flows"] = module
        # Not through the loader: two edits in one second would give the first one's bytecode.
        exec(compile(file.read_text(), str(file), "exec"), module.__dict__)
        return collect("shop", str(self.folder), [module])

    def open(self, **config: Any) -> Flyball:
        made = adapter("config").bare("shop", self.folder, environ={"HOME": str(self.folder)}).config
        named = msgspec.structs.replace(made.project, policies=str(self.folder / "policies"), policy=None)
        return Flyball(msgspec.structs.replace(made, project=named, **config), self.project, self.ports)

    @property
    def paid(self) -> list[int]:
        return list(sys.modules["shop_flows"].PAID)


def flow_of(app: Flyball, name: str = "handle") -> Any:
    return app.rooms.project.flows[name]


async def started(app: Flyball, n: int, key: str = "k") -> Any:
    return await app.run(flow_of(app), n, by=KIM, key=key)


def kinds(app: Flyball, run: str = "-") -> list[str]:
    return [r.kind for r in app.runs.records(run)]


def facts(app: Flyball, kind: str, run: str = "-") -> list[Mapping[str, Any]]:
    return [r.facts for r in app.runs.records(run) if r.kind == kind]
