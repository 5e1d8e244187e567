"""`flyball verify`: verifies an exported ledger, offline. It needs no project."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from flyball.core.errors import FlyballError
from flyball.core.note import parse_checkpoint, parse_note, parse_vkey
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.ledger import report
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.verify.directory import verify_directory

_VKEY = "The log's verifier key (NAME+ID+KEY) from another source than the export, or @FILE."
_APPROVER = "The id of a person's key, from another source than the export: then no other approval counts. Repeatable."
_OLDER = "A checkpoint of this log that was kept elsewhere; may be repeated."


@click.command("verify", help="Verify the ledger that was exported to DIRECTORY, with nothing else.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--vkey", metavar="KEY", help=_VKEY)
@click.option("--older", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help=_OLDER)
@click.option("--approver", multiple=True, metavar="KEY", help=_APPROVER)
@pass_shell
def command(
    shell: Shell, directory: Path, vkey: str | None, older: tuple[Path, ...], approver: tuple[str, ...]
) -> ExitCode:
    """Verifies it."""
    key = _key(vkey) if vkey is not None else None
    notes = [_checkpoint(path) for path in older]
    found = verify_directory(directory, vkey=key, older=notes, approvers=approver or None)
    told = {**asdict(found), "ok": found.ok, "summary": found.summary}
    shell.screen.result("verification", told, lambda screen: report(screen, told))
    return ExitCode.OK if found.ok else ExitCode.NOT_VERIFIED


def _key(given: str) -> str:
    text = _text(Path(given[1:])).strip() if given.startswith("@") else given.strip()
    try:
        parse_vkey(text)
    except FlyballError as bad:
        fix = "It reads NAME+ID+KEY, in quotes or as @FILE; whoever exported the log has it from: flyball ledger export"
        raise FlyballError("usage", "--vkey is no verifier key of a log", bad.why, fix) from bad
    return text


def _checkpoint(path: Path) -> str:
    text = _text(path)
    try:
        parse_checkpoint(parse_note(text).text)
    except FlyballError as bad:
        fix = "Give a file with what `flyball ledger checkpoint` printed, or the file checkpoint of an earlier export."
        raise FlyballError("usage", f"--older: {path} is no checkpoint", bad.why, fix) from bad
    return text


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as bad:
        why = bad.strerror if isinstance(bad, OSError) and bad.strerror else "it is no text"
        raise FlyballError("usage", f"{path} cannot be read", why, "Name a file that is there.") from bad
