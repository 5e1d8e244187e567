"""`flyball verify`: verifies an exported ledger, offline. It needs no project."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from flyball.core.errors import FlyballError
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.ledger import report
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.verify.directory import verify_directory

_VKEY = "The log's verifier key (NAME+ID+KEY) from another source than the export, or @FILE."
_OLDER = "A checkpoint of this log that was kept elsewhere; may be repeated."


@click.command("verify", help="Verify the ledger that was exported to DIRECTORY, with nothing else.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--vkey", metavar="KEY", help=_VKEY)
@click.option("--older", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help=_OLDER)
@pass_shell
def command(shell: Shell, directory: Path, vkey: str | None, older: tuple[Path, ...]) -> ExitCode:
    """Verifies it."""
    key = _text(Path(vkey[1:])).strip() if vkey is not None and vkey.startswith("@") else vkey
    found = verify_directory(directory, vkey=key, older=[_text(path) for path in older])
    told = {**asdict(found), "ok": found.ok, "summary": found.summary}
    shell.screen.result("verification", told, lambda screen: report(screen, told))
    return ExitCode.OK if found.ok else ExitCode.NOT_VERIFIED


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as bad:
        raise FlyballError("bad_input", f"{path} cannot be read", str(bad)) from bad
