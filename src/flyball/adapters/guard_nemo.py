"""NeMo Guardrails behind `ports.guard`: its input and output rails through `check_async`, without an answer of its own.

    [guards.rails]
    adapter = "nemo"
    stages = ["input", "final_output"]
    settings = { config = "rails" }

Needs `nemoguardrails` (`pip install "flyball[nemo]"`). `config` is the folder of a rails configuration. Each passage is
checked by itself; a rail that rewrites it redacts the part that is another one.
"""

from __future__ import annotations

import importlib
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.guard import MOST_REASON, MOST_SCORE, Act, Edit, GuardConfig, Subject, Verdict

EXTRA: Final = 'pip install "flyball[nemo]"'
_OTHER: Final = re.compile(r"[^A-Za-z0-9_/.-]+")
_WRITTEN_BY_THE_MODEL: Final = ("final_output", "tool_args")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`config` is the folder of the rails; `action` what a blocked passage comes to."""

    config: str
    action: Act = "block"


class Nemo:
    """Implements `ports.guard.Guard`."""

    local = False

    def __init__(self, rails: Any, settings: Settings, release: str) -> None:
        self._rails, self._settings = rails, settings
        self.version = f"nemo@{release}"[:64]

    async def check(self, subject: Subject) -> Verdict:
        """What the rails say of each passage: as a user's words, or as the model's."""
        role = "assistant" if subject.stage in _WRITTEN_BY_THE_MODEL else "user"
        edits: list[Edit] = []
        for number, text in enumerate(subject.passages):
            if not text.strip():
                continue
            told = await self._rails.check_async(messages=[{"role": role, "content": text}])
            status = str(getattr(told.status, "value", told.status)).lower()
            if status == "blocked":
                reason = _OTHER.sub("_", str(told.rail or "blocked"))[:MOST_REASON]
                return Verdict(action=self._settings.action, score=MOST_SCORE, reason=reason)
            if status == "modified":
                edits.append(Edit(passage=number, start=0, end=len(text), text=str(told.content)))
            elif status != "passed":
                raise FlyballError("guard_answer", f"the rails answered {status!r}")
        if edits:
            return Verdict(action="redact", score=MOST_SCORE, reason="modified", edits=tuple(edits))
        return Verdict()

    async def close(self) -> None:
        """Holds nothing."""


def open_nemo(config: GuardConfig, _: object = None) -> Nemo:
    """The guard of one `[guards.NAME]`; raises FlyballError `config_value` or `guard_extra`."""
    try:
        settings = msgspec.convert(config.settings, Settings)
    except msgspec.ValidationError as bad:
        raise FlyballError("config_value", f"[guards.{config.name}.settings]", str(bad)) from None
    if settings.action == "redact" or not Path(settings.config).is_dir():
        why = (
            "action is block or escalate, config a folder" if settings.action == "redact" else "there is no such folder"
        )
        raise FlyballError("config_value", f"[guards.{config.name}.settings]", why)
    try:
        nemo = importlib.import_module("nemoguardrails")
    except ImportError as missing:
        raise FlyballError("guard_extra", f"[guards.{config.name}] needs NeMo", str(missing), EXTRA) from None
    rails = nemo.LLMRails(nemo.RailsConfig.from_path(settings.config))
    return Nemo(rails, settings, version("nemoguardrails"))
