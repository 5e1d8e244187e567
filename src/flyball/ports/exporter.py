"""The socket through which spans and metrics leave, and the one for how far that has come.

An exporter is handed batches by whoever follows the log; it keeps nothing, and tries nothing again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flyball.core.meter import Meter
from flyball.core.span import Span
from flyball.core.telemetry import Cursor


class Exporter(Protocol):
    """One receiver of telemetry."""

    @property
    def metered(self) -> bool:
        """Does it take metrics?"""
        ...

    async def spans(self, spans: Sequence[Span]) -> int:
        """Sends spans, once; how many of them the receiver threw away. Raises `core.telemetry.ExportError`."""
        ...

    async def metrics(self, meter: Meter, now: int) -> None:
        """Sends every sum as it stands at `now`, in microseconds since 1970. Raises ExportError."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


class Cursors(Protocol):
    """How far one exporter has come, by tenant; it outlives the process."""

    def take(self) -> bool:
        """Makes this process the one that exports; False while another one is."""
        ...

    def load(self, tenant: str) -> Cursor | None:
        """What was saved last; None where nothing is there that can be read."""
        ...

    def save(self, tenant: str, cursor: Cursor) -> None:
        """Keeps it, whole or not at all."""
        ...

    def close(self) -> None:
        """Another process may export now."""
        ...
