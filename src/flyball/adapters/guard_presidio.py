"""Presidio behind `ports.guard`: its recognisers of personal data, in this process, beside the loop.

    [guards.personal]
    adapter = "presidio"
    stages = ["tool_output"]
    settings = { entities = ["EMAIL_ADDRESS", "PERSON"], pipeline = "en_core_web_sm" }

Needs `presidio-analyzer` (`pip install "flyball[presidio]"`). Without a `pipeline` only recognisers by pattern work
(addresses, cards, accounts, telephone numbers): names and places need a spaCy package, which you install. Nothing is
fetched from a network.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from importlib.metadata import version
from typing import Any, Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.guard import MOST_EDITS, MOST_SCORE, Act, Edit, GuardConfig, Subject, Verdict

EXTRA: Final = 'pip install "flyball[presidio]"'


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`entities` are Presidio's names (none: all that it knows); `pipeline` a spaCy package; `least` the score in
    thousandths from which a finding counts; `action` what one comes to."""

    language: str = "en"
    entities: tuple[str, ...] = ()
    pipeline: str = ""
    least: int = 400
    action: Act = "redact"


class Presidio:
    """Implements `ports.guard.Guard`. One look at a time: its recognisers make no promise about threads."""

    local = False

    def __init__(self, analyzer: Any, settings: Settings, release: str) -> None:
        self._analyzer, self._settings = analyzer, settings
        self._lock = threading.Lock()
        self.version = f"presidio@{release}:{settings.pipeline or 'blank'}"[:64]

    async def check(self, subject: Subject) -> Verdict:
        """What it finds in the passages."""
        return await asyncio.to_thread(self._looked, subject.passages)

    def _looked(self, passages: tuple[str, ...]) -> Verdict:
        found = [(n, one) for n, text in enumerate(passages) if text.strip() for one in self._found(text)]
        if not found:
            return Verdict()
        worst = max((one for _, one in found), key=lambda one: one.score)
        edits = [
            Edit(passage=n, start=one.start, end=one.end, text=f"[{one.entity_type.lower()}]")
            for n, one in found
        ]  # fmt: skip
        action: Act = self._settings.action if len(edits) <= MOST_EDITS else "block"
        return Verdict(
            action=action, score=min(MOST_SCORE, round(worst.score * MOST_SCORE)), reason=worst.entity_type.lower(),
            edits=tuple(edits[:MOST_EDITS]),
        )  # fmt: skip

    def _found(self, text: str) -> list[Any]:
        with self._lock:
            found: list[Any] = self._analyzer.analyze(
                text=text, language=self._settings.language, entities=list(self._settings.entities) or None,
                score_threshold=self._settings.least / MOST_SCORE,
            )  # fmt: skip
        return found

    async def close(self) -> None:
        """Holds nothing."""


def open_presidio(config: GuardConfig, _: object = None) -> Presidio:
    """The guard of one `[guards.NAME]`; raises FlyballError `config_value` or `guard_extra`."""
    try:
        settings = msgspec.convert(config.settings, Settings)
    except msgspec.ValidationError as bad:
        raise FlyballError("config_value", f"[guards.{config.name}.settings]", str(bad)) from None
    try:
        spacy, presidio = importlib.import_module("spacy"), importlib.import_module("presidio_analyzer")
        engine = importlib.import_module("presidio_analyzer.nlp_engine").SpacyNlpEngine()
        suffixes = importlib.import_module("tldextract")
    except ImportError as missing:
        raise FlyballError("guard_extra", f"[guards.{config.name}] needs Presidio", str(missing), EXTRA) from None
    # It would fetch a list of domain suffixes with its first address; the one that it brings will do.
    suffixes.tldextract.TLD_EXTRACTOR = suffixes.TLDExtract(suffix_list_urls=(), cache_dir=None)
    language, pipeline = settings.language, settings.pipeline
    engine.nlp = {language: spacy.load(pipeline) if pipeline else spacy.blank(language)}
    analyzer = presidio.AnalyzerEngine(nlp_engine=engine, supported_languages=[language])
    return Presidio(analyzer, settings, version("presidio-analyzer"))
