"""One ledger of a corpus as it is handed out: the directory itself, which later verifiers must read as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

from flyball.core.journal import BlobRow, BundleRow
from flyball.runtime.export import Disclosure, write_export
from tests.histories.reading import History

CHOSEN: Final = "approved"
FIELDS: Final = ("args", "person", "reason", "result")


class Kept:
    """What a view shows of a log but the parts of its releases, which are many: an exporter may keep them back."""

    def __init__(self, view: Any) -> None:
        self._view = view
        self._bundles = {row.digest for row in view.rows(BundleRow)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    def row(self, kind: Any, id: str) -> Any:
        return None if kind is BlobRow and id not in self._bundles else self._view.row(kind, id)


async def hand_out(history: History, target: Path) -> None:
    """Writes the ledger of this history, with what was asked, answered and done."""
    rooms, head = await history.rooms(), history.head
    view = rooms.ports.journal.view(head.tenant)
    told = [
        Disclosure(stored.id, name, salt, data)
        for stored in view.records()
        for name, (salt, data) in rooms.record.disclose(head.tenant, stored, view).items()
        if name in FIELDS
    ]
    kept = cast("Any", Kept(view))
    facts = {"tenant": head.tenant, "note": head.checkpoint, "vkey": head.vkey}
    write_export(target, lambda: kept, **facts, disclosures=told)
