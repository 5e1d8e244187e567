"""The reference tables say what the code says: nothing is missing in them, and nothing is invented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest

import flyball
import flyball.testing
from flyball import Call, Completed, Principal, Run, Waiting, flow, tool
from flyball.adapters.config_toml.shape import TABLES, Each
from flyball.adapters.policy_cedar.schema import generate
from flyball.adapters.policy_cedar.shape import ANNOTATIONS
from flyball.app import rooms
from flyball.app.artifact_room import ArtifactRoom
from flyball.app.memory_room import MemoryRoom
from flyball.app.policy_room import PolicyRoom
from flyball.core import event
from flyball.core.kinds import KINDS
from flyball.core.modify import NAMES
from flyball.core.policy import GUARDS
from flyball.core.record import Opened
from flyball.core.stop import STOPS
from flyball.doors.cli import commands
from flyball.doors.cli.commands import COMMANDS
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.main import flyball as command_line
from flyball.testing import Lab

DOCS = Path(__file__).resolve().parents[2] / "docs"
KIM = Principal("user:kim", groups=frozenset({"staff"}))
FAY = Principal("user:fay", groups=frozenset({"finance"}))


def text(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def rows(name: str, heading: str = "") -> list[list[str]]:
    """The cells of every table row of a page, or of one of its sections, without the lines that are no rows."""
    page = text(name)
    part = re.split(r"(?m)^## ", page.partition(f"\n## {heading}\n")[2])[0] if heading else page
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def coded(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_stop_reason_is_told_as_it_is() -> None:
    told = {coded(row[0])[0]: tuple(row[1:4]) for row in rows("reference/stop-reasons.md") if coded(row[0])}
    yes = {True: "yes", False: "no"}
    assert told == {r: (yes[s.ok], yes[s.retryable], str(s.exit_code)) for r, s in STOPS.items()}


@pytest.mark.promise("api-unknown-keys-refused")
def test_every_key_of_the_configuration_is_told() -> None:
    told = {coded(row[0])[0] for row in rows("reference/configuration.md") if coded(row[0]) and "." in row[0]}
    assert told == set(_keys(TABLES, ""))


def _keys(shape: Any, at: str) -> Iterator[str]:
    if callable(shape):
        yield at
    elif isinstance(shape, Each):
        yield from _keys(shape.inside, f"{at}.*")
    else:
        for key, inner in shape.items():
            yield from _keys(inner, f"{at}.{key}" if at else key)


def test_every_kind_of_record_is_told() -> None:
    table = {coded(row[0])[0] for row in rows("reference/records.md", "Kinds") if coded(row[0])}
    reserved = set(coded(text("reference/records.md").partition("Reserved, so that")[2].partition("|")[0]))
    assert (table & KINDS) | reserved == KINDS
    assert not table & reserved


@pytest.mark.promise("gate-context-is-complete")
def test_every_attribute_of_the_policy_context_is_told() -> None:
    told = {coded(row[0])[0] for row in rows("reference/policy.md", "Context") if coded(row[0])}
    context = generate([], {GUARDS: {"pii": ""}})[""]["actions"]["model"]["appliesTo"]["context"]["attributes"]
    assert told == {f"context.{name}" for name in context}


def test_every_annotation_and_modifier_is_told() -> None:
    annotations = {coded(row[0])[0][1:].partition("(")[0] for row in rows("reference/policy.md", "Annotations")[1:]}
    modifiers = {coded(row[0])[0].partition(":")[0] for row in rows("reference/policy.md", "Modifiers")[1:]}
    assert annotations == set(ANNOTATIONS)
    assert modifiers == set(NAMES)


@pytest.mark.promise("api-exports")
def test_every_public_name_is_told() -> None:
    page = text("reference/python.md")
    words = set(re.findall(r"\w+", page))
    assert set(flyball.__all__) - words - {"__version__"} == set()
    assert set(flyball.testing.__all__) - words == set()


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("runs", rooms.Runs), ("approvals", rooms.Approvals), ("questions", rooms.Questions), ("policies", PolicyRoom),
        ("ledger", rooms.LedgerRoom), ("budgets", rooms.Budgets), ("keys", rooms.Keys), ("releases", rooms.Releases),
        ("memory", MemoryRoom),
        ("artifacts", ArtifactRoom),
    ],
)  # fmt: skip
def test_every_method_of_a_room_is_told(name: str, room: type) -> None:
    [told] = [coded(row[1]) for row in rows("reference/python.md", "Running") if row[0] == f"`app.{name}`"]
    internal = {"start", "ready", "act"}  # delegated to by Flyball itself
    assert set(told) == {each for each in vars(room) if not each.startswith("_")} - internal


def test_every_event_is_told_with_its_fields() -> None:
    told = {coded(row[0])[0]: set(coded(row[-1])) for row in rows("reference/python.md") if coded(row[0])}
    kinds = [v for v in vars(event).values() if isinstance(v, type) and issubclass(v, event.Event)]
    for kind in kinds:
        above = {name for base in kind.__bases__ for name in getattr(base, "__struct_fields__", ())}
        assert kind is event.Event or set(kind.__struct_fields__) - above <= told[kind.__name__], kind.__name__


def test_every_command_and_option_is_told() -> None:
    page = text("reference/cli.md")
    sections = {part.split("\n")[0].strip("`"): part for part in re.split(r"(?m)^### ", page)[1:]}
    assert {name.split()[1] for name in sections} == set(COMMANDS)
    context = click.Context(command_line)
    there = {path.stem for path in Path(commands.__file__).parent.glob("*.py")}
    for name in sorted(COMMANDS.keys() & there):
        command = command_line.get_command(context, name)  # type: ignore[attr-defined]
        for words, one in _leaves(f"flyball {name}", command):
            section = sections.get(words) or sections[f"flyball {name}"]
            shared = {"--project", "--env", "--tenant", "--json", "--help"}
            options = {o for p in one.params for o in p.opts if o.startswith("--")} - shared
            assert words in page and {o for o in options if f"`{o}" not in section} == set(), words


def _leaves(words: str, command: Any) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _leaves(f"{words} {name}", inner)
    else:
        yield words, command


@pytest.mark.promise("api-exit-codes")
def test_every_exit_code_is_told() -> None:
    told = {int(row[0].strip("`")) for row in rows("reference/cli.md", "Exit codes")[1:]}
    assert told == {int(code) for code in ExitCode}


def test_every_word_of_the_glossary_stands_once_and_in_order() -> None:
    words = [row[0] for row in rows("glossary.md")[1:]]
    assert len(words) == len(set(words))
    assert [w for w, after in pairwise(words) if w.lower() > after.lower()] == []


# records as they are --------------------------------------------------------------------------------------------------
POLICIES = """
@id("staff") permit (principal in Group::"staff", action, resource);
@id("big") @require_approval("finance") @reason("over")
forbid (principal, action == Action::"spend", resource) when { context.input.cents > 10 }
unless { context.approvals.contains("finance") };
@id("never") forbid (principal, action == Action::"spend", resource) when { context.input.cents > 99 };
"""


@tool(effect="irreversible", idempotency="key")
async def spend(call: Call, cents: int) -> str:
    """Spend money."""
    return f"spent {cents}"


@flow
async def spending(run: Run, cents: int) -> str:
    """Spend three times."""
    run.now()
    await run.attempt(spend, 100)
    return await run.call(spend, cents)


async def _records() -> list[Opened]:
    lab = Lab(policies=POLICIES, by=KIM)
    await lab.run(spending, 5, key="small")
    asked = await lab.run(spending, 50, key="large")
    assert isinstance(asked, Waiting)
    assert isinstance(await lab.approve(asked.pending[0], by=FAY), Completed)
    return lab.records("small") + lab.records("large") + lab.records("")


async def test_records_hold_what_is_told_of_them() -> None:
    told = {}
    for kind, facts, private in (row for row in rows("reference/records.md", "Kinds") if len(row) == 3):
        told["".join(coded(kind))] = (set(coded(facts.partition("[")[0])), set(coded(facts)), set(coded(private)))
    seen = set()
    for record in await _records():
        always, known, private = told[record.kind]
        seen.add(record.kind)
        assert always <= record.facts.keys() <= known, record.id
        assert (record.private or {}).keys() <= private, record.id
    assert {"intent", "outcome", "decision", "asked", "approved", "run_started", "run_ended", "marker"} <= seen


def test_every_decision_record_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in (DOCS / "adr").glob("[0-9]*.md")]
    assert sorted(numbers) == [f"{n:04d}" for n in range(len(numbers))]
