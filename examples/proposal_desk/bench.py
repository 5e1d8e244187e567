"""What tests reach: a seeded desk in a folder of its own, and bare calls of its tools, without the runtime."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mailer import Mailer
from mailstore import MailStore
from world import crm, documents, mailer

from flyball import Call, Principal

HERE = Path(__file__).resolve().parent
KIM = Principal("user:kim", groups=frozenset({"sales-desk"}))


@dataclass
class Desk:
    """The parts that tools reach, and the mail server's store."""

    state: Path
    db: sqlite3.Connection
    mailer: Mailer
    store: MailStore

    def call(self, key: str = "k1") -> Call:
        """What a tool's bare function is handed."""
        reach = _Reach({crm.name: self.db, documents.name: self.state / "documents", mailer.name: self.mailer})
        deadline = datetime.now(UTC) + timedelta(seconds=30)
        return Call(key=key, principal=KIM, tenant="local", run=None, attempt=1, deadline=deadline, reach=reach)


class _Reach:
    def __init__(self, open_things: dict[str, Any]) -> None:
        self._open = open_things

    def get(self, resource: Any, /) -> Any:
        return self._open[resource.name]

    def secret(self, name: str, /) -> Any:
        raise LookupError(name)

    @property
    def artifacts(self) -> Any:
        raise LookupError("artifacts")

    def progress(self, message: str, done: float | None, /) -> None:
        """Nobody watches."""
