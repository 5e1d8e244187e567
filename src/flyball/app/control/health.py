"""Health: everything about a project's installation that can be checked from outside, each with what to do about it.

It needs no owner and stops for nobody: what cannot be looked at is a finding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flyball.app.control.acting import ADMIN
from flyball.app.control.channel import SocketChannel
from flyball.app.control.finding import Finding, Level, reported, wrong
from flyball.app.control.local import looking
from flyball.app.control.office import STARTER, Office
from flyball.app.control.project_health import examine_project
from flyball.app.custody import signer_of
from flyball.app.plugs import adapter
from flyball.app.policy_room import disk_notices
from flyball.app.telemetry import standing
from flyball.core.config import Config
from flyball.core.credential import SigningKey
from flyball.core.errors import FlyballError
from flyball.core.journal import BundleRow, KeyRow, RunRow
from flyball.core.signing import check_log, check_standing

# What a tool is run at: in this process. A tool that demands more is refused.
ISOLATION = 0


async def examine(config: Config, tenant: str, acting: Callable[[], SigningKey | None]) -> list[Finding]:
    """The findings, in the order in which somebody should read them."""
    found = [*_library(), *_journal(config), await _owner(config)]
    try:
        async with looking(config) as office:
            found += [f for check in _CHECKS for f in check(office, config, tenant)]
            found += _acting(office, tenant, acting)
    except FlyballError as bad:
        if bad.code == "journal_missing":
            found += _gone(config)
        else:
            found.append(wrong("journal contents", bad))
    return [*found, *examine_project(config), *_isolation()]


def _library() -> Iterator[Finding]:
    library: Mapping[str, Any] = adapter("journal.library").library()
    yield Finding(name="sqlite", level="ok", detail=f"version {library['version']}")
    for bug in library["bugs"]:
        detail = f"{library['version']} has the {bug['name']} bug: {bug['means']}"
        yield Finding(name="sqlite", level="warn", detail=detail, fix="Use Python with SQLite 3.51.3 or newer.")


def _journal(config: Config) -> Iterator[Finding]:
    path = Path(config.journal.path)
    if not path.exists():
        yield Finding(name="journal", level="ok", detail=f"{path} is not there yet: nothing has run in it")
        return
    try:
        told: Mapping[str, Any] = adapter("journal.library").health(path)
    except FlyballError as bad:
        yield wrong("journal", bad)
        return
    sound = "sound" if told["sound"] else f"DAMAGED: {'; '.join(told['found'])}"
    detail = (
        f"{path}: {sound}, {told['bytes']} bytes, write-ahead log {told['wal_bytes']} bytes, schema {told['schema']}"
    )
    yield Finding(name="journal", level="ok" if told["sound"] else "bad", detail=detail,
                  fix="" if told["sound"] else "Restore a backup; do not repair the file by hand.")  # fmt: skip
    if told["network"]:
        yield Finding(name="journal", level="bad", detail=f"it is on a network file system ({told['network']})",
                      fix="Put it on a local disk.")  # fmt: skip
    if told["exposed"]:
        yield Finding(name="journal", level="warn", detail="other users can read the file", fix=f"chmod 600 {path}")
    if config.journal.synchronous != "FULL":
        yield Finding(
            name="journal", level="warn", detail="synchronous is NORMAL: a power cut can lose the last appends"
        )


async def _owner(config: Config) -> Finding:
    channel = await SocketChannel.open(Path(config.journal.path))
    if channel is None:
        return Finding(
            name="owner", level="ok", detail="no process owns the journal; a writing command becomes its owner"
        )
    try:
        async with asyncio.timeout(2):
            async for told in channel.exchange({"v": 1, "command": "hello", "arguments": {}}):
                return Finding(name="owner", level="ok", detail=f"process {told['data']['pid']} answers")
    except (TimeoutError, KeyError, FlyballError) as bad:
        return Finding(name="owner", level="bad", detail=f"a process owns the journal and does not answer: {bad}")
    finally:
        await channel.close()
    return Finding(name="owner", level="bad", detail="a process owns the journal and says nothing")


def _signer(office: Office, config: Config, tenant: str) -> Iterator[Finding]:
    path = Path(config.signer.file)
    with reported("signer") as failed:
        signer = signer_of(config, create=False)
        prefix, logs = office.rooms.ledger.origin(""), signer.logs()
        gone = {origin.removeprefix(prefix) for origin in logs if origin.startswith(prefix)}
        for known in sorted({*office.rooms.ports.journal.tenants(), *gone}):
            view = office.rooms.ports.journal.view(known)
            log, frontier = view.tree()
            signed, origin = signer.last(log), f"{prefix}{known}"
            try:
                check_log(log, origin, logs.get(origin, ""))
                check_standing(signed, frontier, view.node)
            except FlyballError as bad:
                detail = f"{known}: {bad.why}: rolled back, restored, replaced or changed"
                yield Finding(name="signer", level="bad", detail=detail, fix=f"{bad.fix}. Nothing runs on this one.")
            else:
                unsigned = frontier.size - signed.size
                tail = f", the last {unsigned} not signed yet" if unsigned else ""
                yield Finding(
                    name="signer", level="ok", detail=f"{known}: {signed.size} of {frontier.size} records signed{tail}"
                )
        if path.parent in (Path(config.directory), Path(config.journal.path).parent):
            yield Finding(name="signer", level="warn", detail=f"{path} lies beside the project or its journal",
                          fix="Keep it outside both: whoever restores the one must not restore the other.")  # fmt: skip
    yield from failed


def _gone(config: Config) -> Iterator[Finding]:
    """Without a journal there is nothing to read, but perhaps something that was signed."""
    path = Path(config.signer.file)
    if not path.exists():
        return
    with reported("signer") as failed:
        for origin, log in signer_of(config, create=False).logs().items():
            detail = f"{origin} was signed for the log {log}, and there is no journal: it was deleted or moved"
            yield Finding(name="signer", level="bad", detail=detail, fix="Restore it, or set another [signer] file.")
    yield from failed


def _keys(office: Office, config: Config, tenant: str) -> Iterator[Finding]:
    rows = [r for r in office.rooms.ports.journal.view(tenant).rows(KeyRow) if not r.revoked]
    people = ", ".join(f"{r.person.partition(':')[2]} ({', '.join(r.groups) or 'no group'})" for r in rows)
    level: Level = "ok" if rows else "warn"
    fix = "" if rows else "flyball key create NAME --group GROUP"
    yield Finding(name="keys", level=level, detail=people or "nobody can approve: there is no key", fix=fix)
    if rows and not any(ADMIN in r.groups for r in rows):
        yield Finding(
            name="keys", level="warn", fix="flyball key create NAME --group admin",
            detail="nobody is in the group admin: policies cannot be changed, and whoever runs this command line can "
            "add keys",
        )  # fmt: skip


def _policies(office: Office, config: Config, tenant: str) -> Iterator[Finding]:
    rows = office.rooms.ports.journal.view(tenant).rows(BundleRow)
    for row in rows:
        if row.name == STARTER:
            yield Finding(name="policy", level="warn", detail="the starter policy is in force (flyball/starter)",
                          fix='Bring your own: [project] policies = "policies".')  # fmt: skip
        else:
            yield Finding(name="policy", level="ok", detail=f"{row.id}: {row.name} {row.digest[:12]}")
    for notice in disk_notices(office.rooms, tenant):
        told, _, command = notice.rpartition(": ")
        yield Finding(name="policy", level="warn", detail=told, fix=command)
    if not rows:
        yield Finding(
            name="policy", level="ok", detail="none is in force yet; the first opening activates what is on disk"
        )


def _review(office: Office, config: Config, tenant: str) -> Iterator[Finding]:
    rows = [r.id for r in office.rooms.ports.journal.view(tenant).rows(RunRow) if r.review]
    if rows:
        yield Finding(name="runs", level="bad", detail=f"{len(rows)} runs wait for a review: {', '.join(rows[:5])}")


def _telemetry(office: Office, config: Config, tenant: str) -> Iterator[Finding]:
    for told in standing(office.rooms, tenant):
        detail = f"{told['name']} is {told['behind']} of {told['records']} records behind"
        if told["trouble"]:
            fix = f"Look at url and key of [telemetry.{told['name']}]; what is not accepted waits."
            yield Finding(name="telemetry", level="warn", detail=f"{detail}: {told['trouble']}", fix=fix)
        elif told["dropped"]:
            detail = f"{detail}; {told['dropped']} spans were refused and dropped"
            yield Finding(name="telemetry", level="warn", detail=detail)
        else:
            yield Finding(name="telemetry", level="ok", detail=detail)


_CHECKS = (_signer, _keys, _policies, _review, _telemetry)


def _acting(office: Office, tenant: str, acting: Callable[[], SigningKey | None]) -> Iterator[Finding]:
    with reported("acting key") as failed:
        key = acting()
        if key is None:
            yield Finding(
                name="acting key", level="ok", detail="FLYBALL_KEY is not set: runs can be started, nothing decided"
            )
            return
        row = office.rooms.ports.journal.view(tenant).row(KeyRow, key.id)
        if row is None or row.revoked:
            what = "was revoked" if row else "is not in the directory"
            yield Finding(name="acting key", level="bad", detail=f"the key of {key.name} {what}",
                          fix="flyball key create NAME --group GROUP")  # fmt: skip
        else:
            yield Finding(name="acting key", level="ok", detail=f"{row.person}, {', '.join(row.groups) or 'no group'}")
    yield from failed


def _isolation() -> Iterator[Finding]:
    yield Finding(
        name="isolation", level="warn",
        detail=f"tools run in the owner's process (level {ISOLATION}), or with isolation=\"process\" in one of "
        "their own under its user: they can reach the project's configuration, policies, prompts, keys and journal, "
        "and this command line",
        fix='isolation="process" keeps a tool\'s accidents away from the owner; no level here keeps out an attacker.',
    )  # fmt: skip
