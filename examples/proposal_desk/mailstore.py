"""Where the mail server keeps what it accepted: one file per mail, and an index by Message-ID.

    new/000001-1f3a.eml     every mail that was accepted, a repeated one too
    by-id/<sha256>          the names of the files with this Message-ID, one per line
    asked.log               every search for a Message-ID, and what it found

A mail is complete on disk before its name appears (written under `tmp/`, then renamed).
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mail:
    """One stored mail."""

    file: str
    message_id: str
    to: str
    subject: str
    text: str


class MailStore:
    """A folder of mails. Readers and the one writer may be different processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, raw: bytes, message_id: str) -> str:
        """Stores a mail durably and gives its file name. The same Message-ID again is another mail."""
        for part in ("tmp", "new", "by-id"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        name = f"{len(list((self.folder / 'new').iterdir())) + 1:06}-{secrets.token_hex(2)}.eml"
        with (self.folder / "tmp" / name).open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        (self.folder / "tmp" / name).rename(self.folder / "new" / name)
        with self._index(message_id).open("a", encoding="utf-8") as index:
            index.write(name + "\n")
        return name

    def find(self, message_id: str) -> str | None:
        """The file of the first mail with this Message-ID, or None where none was accepted."""
        index = self._index(message_id)
        found = index.read_text("utf-8").split()[0] if index.exists() else None
        if self.folder.is_dir():
            with self._log().open("a", encoding="utf-8") as log:
                log.write(f"{message_id}: {found or 'not here'}\n")
        return found

    def searches(self) -> list[str]:
        """Every search, and what it found, in the order in which they came."""
        return self._log().read_text("utf-8").splitlines() if self._log().exists() else []

    def mails(self) -> list[Mail]:
        """All mails, in the order in which they came."""
        folder = self.folder / "new"
        return [_read(path) for path in sorted(folder.iterdir())] if folder.exists() else []

    def _log(self) -> Path:
        return self.folder / "asked.log"

    def _index(self, message_id: str) -> Path:
        return self.folder / "by-id" / hashlib.sha256(message_id.encode()).hexdigest()


def _read(path: Path) -> Mail:
    message: EmailMessage = message_from_bytes(path.read_bytes(), policy=policy.default)
    body = message.get_body(("plain",))
    return Mail(
        file=path.name,
        message_id=str(message["Message-ID"]),
        to=str(message["To"]),
        subject=str(message["Subject"]),
        text=body.get_content().replace("\r\n", "\n") if body else "",
    )
