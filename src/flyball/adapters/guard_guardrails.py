"""Validators of Guardrails AI behind `ports.guard`, called directly: its `Guard` around them costs hundreds of times as
much and adds nothing here.

    [guards.tone]
    adapter = "guardrails"
    stages = ["final_output"]
    settings = { validator = "guardrails.hub:ToxicLanguage", arguments = { threshold = 0.5 }, action = "block" }

Needs `guardrails-ai` (`pip install "flyball[guardrails]"`) and the validator, which you install. A validator that says
where (`error_spans`) is redacted there; one that says what it should be (`fix_value`) is redacted to that.
"""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.guard import MOST_REASON, MOST_SCORE, Act, Edit, GuardConfig, Subject, Verdict

EXTRA: Final = 'pip install "flyball[guardrails]"'
REDACTED: Final = "[redacted]"
_OTHER: Final = re.compile(r"[^A-Za-z0-9_/.-]+")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`validator` as `module:Class`, `arguments` what it is made with, `action` what its failure comes to."""

    validator: str
    arguments: Mapping[str, Any] = {}
    action: Act = "redact"


class Guardrails:
    """Implements `ports.guard.Guard`."""

    local = False

    def __init__(self, validator: Any, settings: Settings, release: str) -> None:
        self._validator, self._settings = validator, settings
        self._name = _OTHER.sub("_", settings.validator.rpartition(":")[2])[:MOST_REASON]
        self.version = f"guardrails@{release}:{self._name}"[:64]

    async def check(self, subject: Subject) -> Verdict:
        """What the validator says of each passage."""
        return await asyncio.to_thread(self._looked, subject.passages)

    def _looked(self, passages: tuple[str, ...]) -> Verdict:
        failed = [(n, text, told) for n, text in enumerate(passages) if text.strip() and (told := self._failure(text))]
        if not failed:
            return Verdict()
        edits = [edit for n, text, told in failed for edit in _edits(n, text, told)]
        placed = {edit.passage for edit in edits} == {n for n, _, _ in failed}
        action: Act = self._settings.action if placed or self._settings.action != "redact" else "block"
        return Verdict(action=action, score=MOST_SCORE, reason=self._name, edits=tuple(edits))

    def _failure(self, text: str) -> Any:
        """What failed; None where it passed. Raises where it answered neither."""
        told = self._validator.validate(text, {})
        if told.outcome not in ("pass", "fail"):
            raise FlyballError("guard_answer", f"the validator answered {told.outcome!r}")
        return told if told.outcome == "fail" else None

    async def close(self) -> None:
        """Holds nothing."""


def _edits(passage: int, text: str, told: Any) -> Iterator[Edit]:
    spans = getattr(told, "error_spans", None) or ()
    for span in spans:
        start, end = max(0, span.start), min(len(text), span.end)
        if start < end:
            yield Edit(passage=passage, start=start, end=end, text=REDACTED)
    fixed = getattr(told, "fix_value", None)
    if not spans and isinstance(fixed, str) and fixed != text:
        start, end = _changed(text, fixed)
        yield Edit(passage=passage, start=start, end=end, text=fixed[start : len(fixed) - (len(text) - end)])


def _changed(text: str, fixed: str) -> tuple[int, int]:
    """The least part of a text that is another one in its fixed form; at least one character."""
    start, most = 0, min(len(text), len(fixed))
    while start < most and text[start] == fixed[start]:
        start += 1
    after = 0
    while after < most - start and text[-1 - after] == fixed[-1 - after]:
        after += 1
    start = min(start, len(text) - 1)
    return start, max(start + 1, len(text) - after)


def open_guardrails(config: GuardConfig, _: object = None) -> Guardrails:
    """The guard of one `[guards.NAME]`; raises FlyballError `config_value` or `guard_extra`."""
    try:
        settings = msgspec.convert(config.settings, Settings)
        module, _, name = settings.validator.partition(":")
    except msgspec.ValidationError as bad:
        raise FlyballError("config_value", f"[guards.{config.name}.settings]", str(bad)) from None
    try:
        importlib.import_module("guardrails.validator_base")
    except ImportError as missing:
        raise FlyballError("guard_extra", f"[guards.{config.name}] needs Guardrails", str(missing), EXTRA) from None
    try:
        made = getattr(importlib.import_module(module), name)(**settings.arguments)
    except (ImportError, AttributeError, TypeError, ValueError) as bad:
        what = f"[guards.{config.name}.settings] validator {settings.validator!r} cannot be made"
        raise FlyballError("config_value", what, str(bad), "Install it; write module:Class.") from None
    return Guardrails(made, settings, version("guardrails-ai"))
