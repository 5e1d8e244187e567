"""Artifacts as a host program hands them in and takes them out."""

from __future__ import annotations

from flyball.app.rooms import Runs
from flyball.app.wiring import Rooms
from flyball.core.artifact import Artifact
from flyball.core.identity import Principal
from flyball.core.origin import REQUEST


class ArtifactRoom:
    """Files that come with a request, and those that runs made. `subject`: whose data (default: the principal's)."""

    def __init__(self, rooms: Rooms, runs: Runs) -> None:
        self._artifacts, self._runs = rooms.artifacts, runs

    async def put(
        self, data: bytes, *, name: str, media_type: str, by: Principal, subject: str | None = None,
        sensitivity: str = "internal",
    ) -> Artifact:  # fmt: skip
        """Keeps a file that somebody hands in, sealed and durable: a value to start runs with. Raises FlyballError
        `bad_artifact`, `artifact_too_large`, `artifacts_full`."""
        await self._runs.ready(by.tenant)
        named = Artifact(
            digest="", name=name, media_type=media_type, size=0, sensitivity=sensitivity, origin=REQUEST
        )  # fmt: skip
        return await self._artifacts.put(by.tenant, subject or by.id, data, named)

    def get(self, artifact: Artifact, *, by: Principal, subject: str | None = None) -> bytes:
        """The bytes; raises FlyballError `unknown_artifact`, `subject_erased`."""
        return self._artifacts.get(by.tenant, subject or by.id, artifact)
