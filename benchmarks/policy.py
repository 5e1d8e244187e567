"""One policy decision under 10, 100 and 1 000 policies: the median and the 99th percentile.

`python -m benchmarks.policy`. DESIGN section 12, third row. `spread`: ten policies for each tool, as a platform's are;
the tools grow with the policies. `one tool`: all of them about the one tool that is asked for, and all of them have to
be looked at. Every decision is about other arguments and another run, so that none is answered from memory. A decision
waits for nothing, so its processor time is taken: what else the machine does is not a part of the 99th percentile.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

from benchmarks import desk
from benchmarks.desk import KIM
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size
from flyball import Flyball
from flyball.core.identity import Authority
from flyball.core.origin import Origins
from flyball.core.proposal import Performer, Place, Proposal

NAME: Final = "policy"
EACH: Final = 10
SHAPES: Final = ("spread", "one tool")
TOOL: Final = """
@tool(effect="irreversible", idempotency="key")
async def act_{}(call: Call, number: int, cents: int) -> int:
    return cents
"""


def tools_for(count: int, folder: Path) -> ModuleType:
    """A module with so many tools, all of the same arguments, written and imported as a user's would be."""
    folder.mkdir()
    file = folder / f"tools_{count}.py"
    file.write_text("from flyball import Call, tool\n" + "".join(TOOL.format(n) for n in range(count)), "utf-8")
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[file.stem] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def policies_for(count: int, shape: str) -> str:
    """So many policies: a permit for everybody's group, and forbids that do not apply to what will be asked."""
    texts = ['@id("may") permit (principal in Group::"support", action, resource);']
    for number in range(1, count):
        about = f"act_{number // EACH}" if shape == "spread" else "act_0"
        texts.append(
            f'@id("no-{number}") forbid (principal, action == Action::"{about}", resource)\n'
            f"when {{ context.input.cents > {100_000 + number} }};"
        )
    return "\n".join(texts)


def proposals(module: ModuleType, count: int, of: int) -> Iterator[Proposal]:
    """So many proposals for the first tool, each of a run of its own and with arguments of its own."""
    action, signature = module.act_0.action, module.act_0.signature
    performer = Performer(perform=module.act_0.function, signature=signature)
    for number in range(count):
        place = Place(
            tenant="local", run=f"r-{of}-{number}", path="1", fence=None, release="", subjects=(KIM.id,),
            subject=KIM.id,
        )  # fmt: skip
        yield Proposal(
            place=place, action=action, performer=performer, authority=Authority(principal=KIM),
            arguments={"number": number, "cents": of + number}, origins=Origins(),
        )  # fmt: skip


async def decisions(app: Flyball, module: ModuleType, count: int, of: int) -> list[float]:
    """Processor time of each of so many decisions in microseconds; raises where one of them is no allow."""
    took, rule = list[float](), app.rooms.enforce.rule
    for proposal in proposals(module, count, of):
        began = time.thread_time_ns()
        ruled = await rule(proposal)
        took.append((time.thread_time_ns() - began) / 1000)
        if ruled.decision.outcome != "allow":
            raise RuntimeError(f"{ruled.decision}")
    return took


async def rounds(size: Size, folder: Path) -> dict[tuple[str, int], list[list[float]]]:
    """Every shape and number of policies in turn, round after round; one round before them is not counted."""
    told: dict[tuple[str, int], list[list[float]]] = {}
    async with AsyncExitStack() as stack:
        apps: dict[tuple[str, int], tuple[Flyball, ModuleType]] = {}
        for shape, count in [(shape, count) for shape in SHAPES for count in size.policies]:
            place = folder / f"{shape.replace(' ', '-')}-{count}"
            module = tools_for(-(-count // EACH) if shape == "spread" else 1, place)
            app = desk.opened(place, module, policies=policies_for(count, shape))
            apps[shape, count] = await stack.enter_async_context(app), module
            await app.runs.ready("local")
        for number in range(size.rounds + 1):
            for key, (app, module) in apps.items():
                each = await decisions(app, module, size.decisions // size.rounds or 1, number * 10_000)
                if number:
                    told.setdefault(key, []).append(each)
    return told


def measure(size: Size, folder: Path) -> list[Row]:
    """Median and 99th percentile for each shape and number, and what the most policies cost of what the fewest do."""
    told = asyncio.run(rounds(size, folder))
    rows = list[Row]()
    for (shape, count), each in told.items():
        what = f"{shape}: one decision under {count:,} policies"
        rows.append(row(NAME, f"{what}, p50", [statistics.median(r) for r in each], "us"))
        rows.append(row(NAME, f"{what}, p99", [_p99(r) for r in each], "us"))
    few, many = size.policies[0], size.policies[-1]
    for shape in SHAPES:
        pairs = zip(told[shape, many], told[shape, few], strict=True)
        ratios = [statistics.median(a) / statistics.median(b) for a, b in pairs]
        bound = 2 if shape == "spread" else None
        rows.append(row(NAME, f"{shape}: {many:,} policies : {few:,} policies", ratios, "times", most=bound))
    return rows


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


if __name__ == "__main__":
    section(NAME, measure)
