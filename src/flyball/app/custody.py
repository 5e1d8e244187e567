"""Custody: opens the root key and the signer of a project, which lie outside of it.

Their default names hold the project's path, so that two projects never share them. A project that was moved does not
find them any more: the error then says so, what lies there instead, and how to name it.
"""

from __future__ import annotations

from pathlib import Path

from flyball.app.plugs import adapter
from flyball.core.config import Config, default_root, default_signer
from flyball.core.errors import FlyballError
from flyball.ports.signer import Signer

ROOT_ENDING, SIGNER_ENDING = ".root", ".signer"


def root_of(config: Config, *, create: bool) -> bytes:
    """The root key; with `create` a file that is not there is made. Raises FlyballError as the adapter does."""
    try:
        found: bytes = adapter("keyring.root")(str(config.keys.root), create=create)
    except FlyballError as missing:
        if missing.code == "root_key_missing" and config.keys.root.name.endswith(_default_root(config)):
            raise _moved(config, missing, Path(config.keys.root.name)) from missing
        raise
    return found


def signer_of(config: Config, *, create: bool) -> Signer:
    """The signer; with `create` a file that is not there is made. Raises FlyballError as the adapter does."""
    try:
        found: Signer = adapter("signer.file")(Path(config.signer.file), config.project.name, create=create)
    except FlyballError as missing:
        if missing.code == "signer_missing" and config.signer.file.endswith(_default_signer(config)):
            raise _moved(config, missing, Path(config.signer.file)) from missing
        raise
    return found


def _default_signer(config: Config) -> str:
    return default_signer(config.project.name, config.directory, "")


def _default_root(config: Config) -> str:
    return default_root(_default_signer(config)).name


def _moved(config: Config, missing: FlyballError, wanted: Path) -> FlyballError:
    """The same error with what its default name means, and what else lies there."""
    others = sorted(wanted.parent.glob(f"{config.project.name}-*{wanted.suffix}"))
    why = f"its default name holds the project's path, and the project may have been moved to {config.directory}"
    if not others:
        return FlyballError(missing.code, missing.what, why, f"Move the project back. {missing.fix}", missing.data)
    stem = others[0].with_suffix("") if len(others) == 1 else wanted.with_name(f"{config.project.name}-...")
    names = ", ".join(path.name for path in others)
    fix = (
        f'Move it back, or name in flyball.toml what it had before: [signer] file = "{stem}{SIGNER_ENDING}" and '
        f'[keys] root = "file:{stem}{ROOT_ENDING}".'
    )
    return FlyballError(missing.code, missing.what, f"{why}; beside it lies {names}", fix, missing.data)
