"""The keyring in a SQLite file of its own, outside the journal and its backups.

Rules:

* The file is 0600 and refused when others can read it. `secure_delete` overwrites what is deleted; the journal mode
  leaves no second file behind. A new key is durable before it is handed out.
* Keys are wrapped with AES-256-GCM: the tenant's under the root key, a subject's under its tenant's. The wrapping binds
  tenant and subject, so a row moved to another place does not open.
* Subjects are keyed pseudonyms (`core.commitment.pseudonym`), never names: the file says of nobody that they are in it.
* The first record is sealed under the root key; a wrong root key is noticed at once, not at the first payload.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hmac import digest
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flyball.core.errors import FlyballError
from flyball.core.seal import KEY_BYTES, NONCE_BYTES, check_subject

VERSION: Final = 1
APPLICATION: Final = 0x464C594B  # "FLYK" in the file's header: this is a keyring and no other database
_SECTION: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_, *_PARTS = _SECTION.split(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
_SQL: Final = dict(zip(_PARTS[::2], _PARTS[1::2], strict=True))


class SqliteKeyring:
    """Keys by tenant and subject; open it with `open_keyring`. Safe to use from several threads and processes."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, root: bytes, entropy: Callable[[int], bytes]
    ) -> None:
        self._path, self._connection, self._root, self._entropy = path, connection, root, entropy
        self._lock = threading.Lock()
        self._tenants: dict[str, bytes] = {}
        self._pseudonyms: dict[str, bytes] = {}
        self._subjects: dict[tuple[str, str], bytes] = {}

    def subject(self, tenant: str, subject: str) -> bytes:
        """32 bytes for a subject's pseudonym, made when first asked for.

        Raises LookupError once the subject was erased, `FlyballError` ``bad_subject`` for anything but a pseudonym,
        ``keyring_corrupt``, ``keyring_unwritable`` or ``keyring_closed``.
        """
        key = self._subjects.get((tenant, subject))
        return key if key is not None else self._load_subject(tenant, subject)

    def pseudonym(self, tenant: str) -> bytes:
        """32 bytes for the tenant's pseudonyms, derived from its key. Raises as `subject` does."""
        key = self._pseudonyms.get(tenant)
        if key is None:
            with self._lock, self._database():
                key = digest(self._tenant(tenant), b"flyball/pseudonym/v1", "sha256")
            self._pseudonyms[tenant] = key
        return key

    def close(self) -> None:
        """Releases the file and forgets every key."""
        with self._lock:
            self._tenants.clear()
            self._pseudonyms.clear()
            self._subjects.clear()
            self._connection.close()

    def _load_subject(self, tenant: str, subject: str) -> bytes:
        check_subject(subject)
        with self._lock, self._database():
            wrapping = self._tenant(tenant)
            place = _place("subject", tenant, subject)
            found = self._one("get_subject", tenant, subject)
            if found is None:
                wrapped = _wrap(wrapping, place, self._entropy(KEY_BYTES), self._entropy(NONCE_BYTES))
                self._connection.execute(_SQL["put_subject"], (tenant, subject, wrapped))
                found = self._one("get_subject", tenant, subject)
            if found is None or found[0] is None:
                raise LookupError(f"the subject {subject} was erased")
            key = self._unwrap(wrapping, place, found[0])
            self._subjects[tenant, subject] = key
            return key

    def _tenant(self, tenant: str) -> bytes:
        if tenant not in self._tenants:
            place = _place("tenant", tenant)
            found = self._one("get_tenant", tenant)
            if found is None:
                wrapped = _wrap(self._root, place, self._entropy(KEY_BYTES), self._entropy(NONCE_BYTES))
                self._connection.execute(_SQL["put_tenant"], (tenant, wrapped))
                found = self._one("get_tenant", tenant)
            self._tenants[tenant] = self._unwrap(self._root, place, found and found[0])
        return self._tenants[tenant]

    def _one(self, name: str, *values: str) -> tuple[object, ...] | None:
        row: tuple[object, ...] | None = self._connection.execute(_SQL[name], values).fetchone()
        return row

    def _unwrap(self, wrapping: bytes, place: bytes, wrapped: object) -> bytes:
        key = _unwrap(wrapping, place, wrapped)
        if key is None:
            raise _corrupt(self._path, "a key in it does not open")
        return key

    @contextmanager
    def _database(self) -> Generator[None, None, None]:
        try:
            yield
        except sqlite3.OperationalError as failed:
            fix = "Check that the disk has room and that this user may write the file"
            raise FlyballError(
                "keyring_unwritable", f"no key can be kept in {self._path}", str(failed), fix
            ) from failed
        except sqlite3.ProgrammingError as failed:
            raise FlyballError("keyring_closed", f"the keyring {self._path} is closed") from failed
        except sqlite3.DatabaseError as failed:
            raise _corrupt(self._path, str(failed)) from failed


def open_keyring(
    path: Path, root: bytes, *, create: bool = False, entropy: Callable[[int], bytes] = os.urandom
) -> SqliteKeyring:
    """The keyring at ``path`` under a root key of 32 bytes; with ``create`` it is made where there is none.

    Raises `FlyballError`: ``bad_root_key``, ``keyring_missing``, ``keyring_exposed`` (others can read the file),
    ``keyring_corrupt``, ``keyring_newer``, ``wrong_root_key``, ``keyring_unwritable``.
    """
    if len(root) != KEY_BYTES:
        raise FlyballError("bad_root_key", "the keyring cannot be opened", f"a root key has {KEY_BYTES} bytes")
    _check_file(path, create)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        _prepare(path, connection, root, create, entropy)
    except sqlite3.OperationalError as failed:
        connection.close()
        fix = "Check that the disk has room and that this user may read and write the file and its folder"
        raise FlyballError("keyring_unwritable", f"{path} cannot be opened", str(failed), fix) from failed
    except sqlite3.DatabaseError as failed:
        connection.close()
        raise _corrupt(path, str(failed)) from failed
    except FlyballError:
        connection.close()
        raise
    return SqliteKeyring(path, connection, root, entropy)


def _check_file(path: Path, create: bool) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not create:
            fix = "Restore it from where it was kept: without it no payload can be read"
            raise FlyballError("keyring_missing", f"there is no keyring at {path}", fix=fix) from None
        _make(path)
        return
    except OSError as failed:
        raise FlyballError("keyring_unwritable", f"{path} cannot be used", failed.strerror or "") from failed
    if not stat.S_ISREG(mode) or mode & 0o077:
        why = "others can read it" if stat.S_ISREG(mode) else "it is no regular file"
        raise FlyballError("keyring_exposed", f"the keyring {path} is refused", why, f"Run: chmod 600 {path}")


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        return  # another process was first; both fill it in one transaction
    except OSError as failed:
        raise FlyballError("keyring_unwritable", f"{path} cannot be made", failed.strerror or "") from failed


def _prepare(
    path: Path, connection: sqlite3.Connection, root: bytes, create: bool, entropy: Callable[[int], bytes]
) -> None:
    for pragma in ("secure_delete = ON", "journal_mode = DELETE", "synchronous = EXTRA", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if create:
        _fill(connection, root, entropy)
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != APPLICATION:
        raise _corrupt(path, "it is no keyring")
    if version > VERSION:
        why = f"its version is {version}, this one reads {VERSION}"
        raise FlyballError("keyring_newer", f"the keyring {path} cannot be read", why, "Use a newer Flyball")
    sealed = connection.execute(_SQL["get_seal"]).fetchone()
    if sealed is None:
        raise _corrupt(path, "its first record is gone")
    if _unwrap(root, _place("seal"), sealed[0]) is None:
        fix = "Set the root key under which it was made (keys.root in flyball.toml)"
        raise FlyballError("wrong_root_key", f"the keyring {path} does not open under this root key", fix=fix)


def _fill(connection: sqlite3.Connection, root: bytes, entropy: Callable[[int], bytes]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute(_SQL["tables"]).fetchone() == (0,):
            for statement in _SQL["schema"].split(";\n"):
                connection.execute(statement)
            sealed = _wrap(root, _place("seal"), entropy(KEY_BYTES), entropy(NONCE_BYTES))
            connection.execute(_SQL["put_seal"], (sealed,))
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _place(*parts: str) -> bytes:
    encoded = [part.encode() for part in ("flyball/keyring/v1", *parts)]
    return b"".join([len(part).to_bytes(4, "big") + part for part in encoded])


def _wrap(wrapping: bytes, place: bytes, key: bytes, nonce: bytes) -> bytes:
    return nonce + AESGCM(wrapping).encrypt(nonce, key, place)


def _unwrap(wrapping: bytes, place: bytes, wrapped: object) -> bytes | None:
    if not isinstance(wrapped, bytes):
        return None
    try:
        key = AESGCM(wrapping).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], place)
    except (InvalidTag, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None


def _corrupt(path: Path, why: str) -> FlyballError:
    fix = "Restore it from a copy of the same time as the journal; do not delete it"
    return FlyballError("keyring_corrupt", f"the keyring {path} is damaged", why, fix)
