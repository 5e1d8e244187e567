from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from flyball.adapters.guard_pack.pack import Pack, Settings, open_pack
from flyball.core.errors import FlyballError
from flyball.core.guard import GuardConfig, Subject
from flyball.testing.conformance.guard import CHECKS, Check, Trial

TRIALS = {
    "mail": Trial(make=Pack, trips="write to kim@example.com", clean="write to Kim"),
    "card": Trial(make=lambda: Pack(Settings(find=("card",))), trips="4111 1111 1111 1111", clean="kim@example.com"),
    "hidden": Trial(make=lambda: Pack(Settings(find=("hidden",))), trips="pay\u200bload", clean="payload"),
    "canary": Trial(
        make=lambda: Pack(Settings(find=(), canaries=("blue-heron-77",))), trips="so: BLUE-heron-77.", clean="a heron"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRIALS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_it_is_a_guard(check: Check, name: str) -> None:
    await check(TRIALS[name])


async def said(pack: Pack, *passages: str) -> Any:
    return await pack.check(Subject(stage="tool_args", passages=passages))


async def test_what_scores_less_is_told_and_nothing_is_done() -> None:
    pack = Pack(Settings(least=950))
    verdict = await said(pack, "kim@example.com")
    assert (verdict.action, verdict.score, verdict.reason) == ("pass", 900, "email")
    both = await said(pack, "kim@example.com, 4111 1111 1111 1111")
    assert both.action == "redact" and [e.text for e in both.edits] == ["[card]"]


async def test_more_than_can_be_redacted_is_blocked() -> None:
    verdict = await said(Pack(), "a@b.org " * 10_001)
    assert verdict.action == "block" and len(verdict.edits) == 10_000


@pytest.mark.parametrize(
    "settings",
    [
        {"find": ["mail"]}, {"least": 1001}, {"canaries": ["short"]}, {"patterns": {"Ticket": "x"}},
        {"patterns": {"card": "x"}}, {"action": "delete"}, {"unknown": 1},
    ],
)  # fmt: skip
def test_settings_that_are_none_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(FlyballError) as bad:
        open_pack(GuardConfig(name="pii", settings=settings))
    assert bad.value.code == "config_value"


def test_its_version_says_what_it_was_made_of() -> None:
    assert Pack().version != Pack(Settings(least=1)).version


# patterns of one's own ------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-guard-own-patterns-are-linear")
def test_without_re2_own_patterns_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(FlyballError) as bad:
        Pack(Settings(patterns={"ticket": "TCK-[0-9]{6}"}))
    assert bad.value.code == "guard_extra" and "flyball[re2]" in bad.value.fix


class Refused(Exception):
    pass


def re2(compile_: Any) -> ModuleType:
    """As much of google-re2 as is used: `compile` with options that keep it quiet, and its error."""
    return SimpleNamespace(error=Refused, Options=SimpleNamespace, compile=compile_)  # type: ignore[return-value]


@pytest.mark.promise("gate-guard-own-patterns-are-linear")
def test_what_re2_does_not_compile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_(text: str, options: Any) -> Any:
        assert options.log_errors is False
        raise Refused("invalid perl operator: (?<=")

    monkeypatch.setitem(sys.modules, "re2", re2(compile_))
    with pytest.raises(FlyballError, match="invalid perl operator") as bad:
        Pack(Settings(patterns={"after": "(?<=a)b"}))
    assert bad.value.code == "guard_pattern"


@pytest.mark.parametrize("text", ["x*", "x" * 1001])
def test_a_pattern_that_matches_nothing_or_is_endless_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    monkeypatch.setitem(sys.modules, "re2", re2(lambda text, _: re.compile(text)))
    with pytest.raises(FlyballError):
        Pack(Settings(patterns={"any": text}))


async def test_own_patterns_are_redacted_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    monkeypatch.setitem(sys.modules, "re2", re2(lambda text, _: re.compile(text)))
    verdict = await said(Pack(Settings(find=(), patterns={"ticket": "TCK-[0-9]{6}"})), "see TCK-123456")
    assert [(e.start, e.end, e.text) for e in verdict.edits] == [(4, 14, "[ticket]")]
