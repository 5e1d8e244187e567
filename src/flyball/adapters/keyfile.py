"""Keys of people on disk: one file for each, readable by its owner alone, in a directory of the user.

`FLYBALL_KEY_DIR` names the directory, else it is `~/.config/flyball/keys`. `FLYBALL_KEY` is the key to act with: the
path of such a file, or its one line.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flyball.core.credential import KEY_FORMAT, SEED_BYTES, SigningKey, format_key, parse_key
from flyball.core.errors import FlyballError

SUFFIX: Final = ".key"
MAX_FILE_BYTES: Final = 4096

_OTHERS: Final = 0o077


def key_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where keys are kept."""
    named = environ.get("FLYBALL_KEY_DIR")
    home = environ.get("HOME") or os.path.expanduser("~")
    return _expanded(named, environ) if named else Path(home) / ".config" / "flyball" / "keys"


def create_key(name: str, directory: Path) -> tuple[SigningKey, Path]:
    """A new key and its file, mode 0600. A file that is there is never replaced.

    Raises FlyballError `bad_key` for the name, `key_exists`, or `key_unwritable`.
    """
    key = SigningKey(name=name, seed=secrets.token_bytes(SEED_BYTES))
    path = directory / f"{name}{SUFFIX}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, format_key(key).encode())
    except FileExistsError:
        fix = "Choose another name, or move that file away first."
        raise FlyballError("key_exists", f"there is a key for {name}", str(path), fix) from None
    except OSError as bad:
        raise FlyballError("key_unwritable", f"{path} cannot be written", bad.strerror or str(bad)) from bad
    return key, path


def read_key(path: Path) -> SigningKey:
    """The key of a file that nobody else can read.

    Raises FlyballError `key_not_found`, `key_exposed`, `key_unreadable`, or `bad_key`.
    """
    try:
        with path.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            raw = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise FlyballError("key_not_found", f"{path} is not there", fix="flyball key create NAME makes one.") from None
    except OSError as bad:
        raise FlyballError("key_unreadable", f"{path} cannot be read", bad.strerror or str(bad)) from bad
    if os.name == "posix" and stat.S_IMODE(mode) & _OTHERS:
        why = f"others can reach it, its mode is {stat.S_IMODE(mode):04o}"
        raise FlyballError("key_exposed", f"{path} is refused", why, f"chmod 600 {path}")
    return parse_key(raw.decode("ascii", errors="replace"))


def acting_key(environ: Mapping[str, str] = os.environ) -> SigningKey | None:
    """The key that `FLYBALL_KEY` gives, or None where it is not set; raises as `read_key` does."""
    given = environ.get("FLYBALL_KEY", "").strip()
    if not given:
        return None
    return parse_key(given) if given.startswith(f"{KEY_FORMAT} ") else read_key(_expanded(given, environ))


def list_keys(directory: Path) -> tuple[Path, ...]:
    """The key files of a directory, by name; none where it is not there."""
    return tuple(sorted(directory.glob(f"*{SUFFIX}"))) if directory.is_dir() else ()


def _write_new(path: Path, content: bytes) -> None:
    # O_EXCL: neither an existing key nor a link put in its place is ever written to.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _expanded(path: str, environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME") or os.path.expanduser("~")
    return Path(home + path[1:] if path == "~" or path.startswith("~/") else path).absolute()
