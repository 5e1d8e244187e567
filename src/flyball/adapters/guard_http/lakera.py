"""Lakera Guard (`POST /v2/guard`): what it flags, how sure it is, and where, in its documented form.

    [guards.injection]
    adapter = "lakera"
    stages = ["context", "tool_output"]
    key = "env:LAKERA_KEY"
    settings = { project = "project-123" }

Which detectors run and from which confidence on is decided by the project at Lakera. Confidences `L1` (certain) to `L5`
become scores. A place that it names is taken only where the text that stands there is the one that it says: whether its
ends are inclusive has differed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from flyball.adapters.guard_http.joined import Joined
from flyball.adapters.guard_http.service import Service
from flyball.core.call import Secret
from flyball.core.errors import FlyballError
from flyball.core.guard import MOST_REASON, Act, Edit, GuardConfig, Stage, Subject, Verdict

ADDRESS: Final = "https://api.lakera.ai/v2/guard"
CONFIDENCE: Final[Mapping[str, int]] = {"L1": 1_000, "L2": 800, "L3": 600, "L4": 400, "L5": 200}
ROLES: Final[Mapping[Stage, str]] = {
    "input": "user", "context": "tool", "memory": "tool", "tool_output": "tool", "tool_args": "assistant",
    "final_output": "assistant",
}  # fmt: skip
_OTHER: Final = re.compile(r"[^a-z0-9_/.-]+")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`project` whose policy applies; `action` what something flagged comes to: `redact` only where every detector that
    saw something says where."""

    project: str = ""
    action: Act = "block"


class _Detector(msgspec.Struct):
    detector_type: str = "unknown"
    detected: bool = False
    confidence: str = "L1"


class _Place(msgspec.Struct):
    start: int
    end: int
    text: str | None = None
    detector_type: str = "unknown"


class _Answer(msgspec.Struct):
    flagged: bool
    breakdown: list[_Detector] | None = None
    payload: list[_Place] | None = None


class Lakera:
    """Implements `ports.guard.Guard`."""

    local = False

    def __init__(self, service: Service, settings: Settings = Settings()) -> None:
        self._service, self._settings = service, settings
        self.version = f"lakera@v2:{settings.action}"

    async def check(self, subject: Subject) -> Verdict:
        """What it says of the passages, shown as one message."""
        joined = Joined(subject.passages)
        if not joined.text.strip():
            return Verdict()
        messages = [{"role": ROLES[subject.stage], "content": joined.text}]
        body: dict[str, Any] = {"messages": messages, "breakdown": True, "payload": True}
        if self._settings.project:
            body["project_id"] = self._settings.project
        return self._verdict(msgspec.convert(await self._service.ask(body), _Answer), joined)

    def _verdict(self, answer: _Answer, joined: Joined) -> Verdict:
        saw = [d for d in answer.breakdown or () if d.detected]
        worst = max(saw, key=lambda d: CONFIDENCE.get(d.confidence, 1_000), default=None)
        if not answer.flagged:
            return Verdict()
        reason = _OTHER.sub("_", worst.detector_type.lower())[:MOST_REASON] if worst is not None else "flagged"
        score = CONFIDENCE.get(worst.confidence, 1_000) if worst is not None else 1_000
        edits = _edits(answer.payload or (), joined)
        places = {p.detector_type for p in answer.payload or ()}
        action = self._settings.action
        if action == "redact" and (edits is None or not saw or not {d.detector_type for d in saw} <= places):
            action = "block"
        return Verdict(action=action, score=score, reason=reason, edits=tuple(edits or ()))

    async def close(self) -> None:
        """Closes its connections."""
        await self._service.close()


def _edits(places: Sequence[_Place], joined: Joined) -> list[Edit] | None:
    """The places as edits; None where one of them cannot be found."""
    found: list[Edit] = []
    for place in places:
        end = _end(place, joined.text)
        made = list(joined.edits(place.start, end, f"[{place.detector_type.rpartition('/')[2]}]")) if end else []
        if not made:
            return None
        found += made
    return found


def _end(place: _Place, text: str) -> int:
    if not 0 <= place.start < place.end <= len(text):
        return 0
    if place.text is None or text[place.start : place.end] == place.text:
        return place.end
    return place.end + 1 if text[place.start : place.end + 1] == place.text else 0


def open_lakera(config: GuardConfig, key: Secret | None = None) -> Lakera:
    """The guard of one `[guards.NAME]`; raises FlyballError `config_value`."""
    try:
        settings: Any = msgspec.convert(config.settings, Settings)
    except msgspec.ValidationError as bad:
        raise FlyballError("config_value", f"[guards.{config.name}.settings]", str(bad)) from None
    return Lakera(Service(config, config.url or ADDRESS, key), settings)
