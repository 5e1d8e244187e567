"""`flyball policy`: check, test and draft what is on disk; show, activate and explain what is in force."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from flyball.app.bench import Bench
from flyball.app.cases import made
from flyball.app.control.local import looking
from flyball.core.canonical import parse_json
from flyball.core.config import Config
from flyball.core.errors import FlyballError
from flyball.core.policy import Finding, PolicyError
from flyball.doors.cli.asking import ask, persons_key, say
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.output import Screen
from flyball.doors.cli.policy_words import activated, changes, explained
from flyball.doors.cli.project import project_of
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import moment
from flyball.ports.policy import Compiled

SHORT: Final = 12
OURS: Final = "flyball."


@click.group("policy", help="Check, test, activate and explain policies.")
def command() -> None:
    """The group."""


# on disk --------------------------------------------------------------------------------------------------------------
@command.command("check")
@pass_shell
def check(shell: Shell) -> ExitCode:
    """Check the policies on disk: syntax, types, shape, names."""
    bench = Bench(project_of(shell).config)
    found: tuple[Finding, ...] = ()
    bundles: list[dict[str, Any]] = []
    try:
        made_ = bench.check()
        bundles = [{"layer": c.bundle.layer, "name": c.bundle.name, "digest": c.bundle.digest,
                    "policies": sum(not id.startswith(OURS) for id in c.bundle.ids)} for c in made_]  # fmt: skip
    except PolicyError as bad:
        found = bad.findings
    data = {"ok": not found, "bundles": bundles, "findings": msgspec.to_builtins(found)}

    def show(screen: Screen) -> None:
        for finding in found:
            screen.line(str(finding), "bad")
        for b in bundles:
            screen.line(f"{b['layer']} {b['name']}: {b['policies']} policies, bundle {b['digest'][:SHORT]}", "good")
        if found:
            screen.line(
                f"{len(found)} finding{'' if len(found) == 1 else 's'}. The bundle in force stays in force.", "warn"
            )

    shell.screen.result("policy_checked", data, show)
    return ExitCode.GATE_FAILED if found else ExitCode.OK


@command.command("test")
@pass_shell
def test(shell: Shell) -> ExitCode:
    """Run the cases (*.test.toml) beside the policies."""
    cases, failed = Bench(project_of(shell).config).test()
    data = {"ok": not failed, "cases": len(cases), "failed": failed}

    def show(screen: Screen) -> None:
        for fault in failed:
            screen.line(fault, "bad")
        wrong = len({fault.partition(" ")[0] for fault in failed})
        if not cases:
            screen.line("there are no cases; flyball policy draft TOOL --write begins one", "warn")
            return
        screen.line(f"{len(cases) - wrong} of {len(cases)} cases pass", "bad" if failed else "good")

    shell.screen.result("policy_tested", data, show)
    return ExitCode.GATE_FAILED if failed else ExitCode.OK


@command.command("schema")
@pass_shell
def schema(shell: Shell) -> None:
    """Print the Cedar schema that is generated from the tools."""
    text = Bench(project_of(shell).config).schema()
    shell.screen.result("policy_schema", {"schema": text}, lambda screen: screen.line(text))


@command.command("draft")
@click.argument("tool")
@click.option("--write", is_flag=True, help="Write it beside the policies.")
@pass_shell
def draft(shell: Shell, tool: str, write: bool) -> None:
    """Draft a permit, a curable forbid and a case for TOOL."""
    config = project_of(shell).config
    bench = Bench(config)
    policy, case = bench.draft(tool)
    files = [str(path) for path in bench.write_draft(tool)] if write else []

    def show(screen: Screen) -> None:
        for path in files:
            screen.line(f"wrote {path}", "good")
        if write and config.project.policies is None:
            screen.line(
                'Bring them in: [project] policies = "policies" in flyball.toml, in the place of the starter.', "warn"
            )
        if not write:
            screen.line(f"{policy}\n{case}".rstrip())

    shell.screen.result("policy_drafted", {"policy": policy, "case": case, "files": files}, show)


# in force -------------------------------------------------------------------------------------------------------------
@command.command("list")
@pass_shell
def list_(shell: Shell) -> None:
    """Show what is in force."""
    told = ask(shell, "policies")

    def show(screen: Screen) -> None:
        for bundle in told["bundles"]:
            since = moment(bundle["activated"])
            screen.line(
                f"{bundle['layer']} {bundle['name']}: bundle {bundle['digest'][:SHORT]}, since {since}", "title"
            )
            screen.table(("policy", "asks", "modifies", "reason", ""), [
                (p["id"], p["asks"], p["modifies"], p["reason"], "shadow" if p["shadow"] else "")
                for p in bundle["policies"]
            ])  # fmt: skip

    say(shell, "policies", told, show)


@command.command("compare")
@pass_shell
def compare(shell: Shell) -> None:
    """Show what the policies on disk would decide otherwise than those in force."""
    told = ask(shell, "policy_compare")

    def show(screen: Screen) -> None:
        for each in told["changes"]:
            changes(screen, each)
        if not told["changes"]:
            screen.line("the policies on disk are in force")

    say(shell, "policy_compared", told, show)


@command.command("activate")
@click.argument("digest", default="")
@pass_shell
def activate(shell: Shell, digest: str) -> None:
    """Put the bundle on disk in force: the one whose digest begins with DIGEST, or all that changed. Needs an admin."""
    persons_key(shell)
    told = ask(shell, "policy_activate", digest=digest)

    def show(screen: Screen) -> None:
        for each in told["activated"]:
            activated(screen, each)
        if not told["activated"]:
            screen.line("the policies on disk are in force already")

    say(shell, "policy_activated", told, show)


@command.command("explain")
@click.argument("target")
@click.option("--by", "who", metavar="user:NAME", help="Who would ask, for a tool.")
@click.option("--group", "groups", multiple=True, help="A group they are in; may be repeated.")
@click.option("--through", multiple=True, metavar="AGENT", help="An agent between them and the call; may be repeated.")
@click.option("--input", "arguments", default="{}", metavar="JSON", help="The arguments.")
@click.option("--origin", "origins", multiple=True, metavar="ARGUMENT=ORIGIN", help="Where an argument came from.")
@click.option("--resource", metavar="JSON", help="What the entity is like that an argument names.")
@click.option("--approval", "approvals", multiple=True, metavar="GROUP", help="A group that has agreed.")
@click.option("--denied", multiple=True, metavar="TOOL", help="What was denied in the run before.")
@click.option("--disk", is_flag=True, help="By the policies on disk, not by those in force.")
@pass_shell
def explain(shell: Shell, /, target: str, **options: Any) -> None:
    """Say why: for a record (RUN/PATH/ATTEMPT/KIND), a step (RUN/PATH), a RUN, or the latest decision about a TOOL.

    With --by and --input: what would be said of that proposal.
    """
    if not options["who"]:
        told = ask(shell, "policy_explain", target=target)
    else:
        told = {"explained": [msgspec.to_builtins(_proposed(shell, target, options))]}

    def show(screen: Screen) -> None:
        for each in told["explained"]:
            explained(screen, each)

    say(shell, "policy_explained", told, show)


def _proposed(shell: Shell, tool: str, options: Mapping[str, Any]) -> Any:
    """What would be said of a proposal that nobody makes."""
    config = project_of(shell).config
    bench = Bench(config)
    bench.project.tool(tool)
    origins = dict(_pair(each) for each in options["origins"])
    table: dict[str, Any] = {
        "tool": tool, "by": {"id": options["who"], "groups": list(options["groups"]), "tenant": shell.tenant},
        "input": _json("--input", options["arguments"]), "origin": origins, "expect": "allow",
        "through": list(options["through"]), "approvals": list(options["approvals"]),
        "run": {"denied": list(options["denied"])},
    }  # fmt: skip
    if options["resource"]:
        table["resource"] = _json("--resource", options["resource"])
    case = made("the proposal", table)
    if options["disk"] or not Path(config.journal.path).exists():
        return bench.explain(case)
    return asyncio.run(_in_force(config, shell.tenant, bench, case))


async def _in_force(config: Config, tenant: str, bench: Bench, case: Any) -> Any:
    async with looking(config) as office:
        force: Sequence[Compiled] = office.rooms.policies.loaded(tenant)
        return bench.explain(case, force)


def _pair(text: str) -> tuple[str, str]:
    name, equals, origin = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not ARGUMENT=ORIGIN", param_hint="--origin")
    return name, origin


def _json(option: str, text: str) -> Any:
    try:
        found = parse_json(text)
    except FlyballError as bad:
        raise click.BadParameter(str(bad), param_hint=option) from bad
    if not isinstance(found, dict):
        raise click.BadParameter(f"{json.dumps(found)[:60]} is no JSON object", param_hint=option)
    return found
