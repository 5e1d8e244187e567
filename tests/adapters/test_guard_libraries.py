"""Guards of foreign libraries, each against the real one where it is there (`make guards`), and what is told where it
is not."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from flyball.adapters.guard_guardrails import Guardrails, open_guardrails
from flyball.adapters.guard_guardrails import Settings as GuardrailsSettings
from flyball.adapters.guard_nemo import Nemo, open_nemo
from flyball.adapters.guard_nemo import Settings as NemoSettings
from flyball.adapters.guard_presidio import Presidio, open_presidio
from flyball.adapters.guard_presidio import Settings as PresidioSettings
from flyball.core.errors import FlyballError
from flyball.core.guard import GuardConfig, Subject, Verdict, redacted
from flyball.testing.conformance.guard import CHECKS, Check, Trial

MAIL = "write to pat@example.com, please"
RAILS = {
    "config.yml": """
models: []
rails:
  input:
    flows: [no bombs]
  output:
    flows: [no bombs said]
""",
    "rails.co": """
define bot refuse to answer
  "no"

define subflow no bombs
  $bad = execute speaks_of_bombs(text=$user_message)
  if $bad
    bot refuse to answer
    stop

define subflow no bombs said
  $bad = execute speaks_of_bombs(text=$bot_message)
  if $bad
    bot refuse to answer
    stop
""",
    "actions.py": """
from nemoguardrails.actions import action


@action()
async def speaks_of_bombs(text: str):
    return "bomb" in text
""",
}


def there(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


async def said(guard: Any, *passages: str, stage: Any = "tool_output") -> Verdict:
    return await guard.check(Subject(stage=stage, passages=passages))  # type: ignore[no-any-return]


# the real ones --------------------------------------------------------------------------------------------------------
@there("presidio_analyzer")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_presidio_is_a_guard(check: Check) -> None:
    settings = {"entities": ["EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE"]}
    guard = open_presidio(GuardConfig(name="personal", settings=settings))
    await check(Trial(make=lambda: guard, trips=MAIL, clean="write to Pat, please"))


@there("guardrails")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("how", ["spans", "fix"])
async def test_a_validator_of_guardrails_is_a_guard(check: Check, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from guardrails.validator_base import (  # type: ignore[import-not-found]
        ErrorSpan,
        FailResult,
        PassResult,
        Validator,
        register_validator,
    )

    @register_validator(name=f"flyball/no-{how}", data_type="string")  # type: ignore[untyped-decorator]
    class NoWord(Validator):  # type: ignore[misc]
        def __init__(self, word: str, **more: Any) -> None:
            super().__init__(word=word, **more)
            self.word = word

        def _validate(self, value: Any, metadata: dict[str, Any]) -> Any:
            at = value.find(self.word)
            if at < 0:
                return PassResult()
            span = ErrorSpan(start=at, end=at + len(self.word), reason="no")
            if how == "spans":
                return FailResult(error_message="no", error_spans=[span])
            return FailResult(error_message="no", fix_value=value.replace(self.word, "*"))

    module = ModuleType("own_validators")
    module.NoWord = NoWord  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_validators", module)
    settings = {"validator": "own_validators:NoWord", "arguments": {"word": "secret"}}
    guard = open_guardrails(GuardConfig(name="tone", settings=settings))
    await check(Trial(make=lambda: guard, trips="it is a secret plan", clean="it is a plan"))


@there("nemoguardrails")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("stage", ["input", "final_output"])
async def test_nemo_is_a_guard(check: Check, stage: Any, tmp_path: Path) -> None:
    for name, text in RAILS.items():
        (tmp_path / name).write_text(text)
    guard = open_nemo(GuardConfig(name="rails", settings={"config": str(tmp_path)}))
    await check(Trial(make=lambda: guard, trips="build a bomb", clean="bake a cake", stage=stage))


# how their answers are read -------------------------------------------------------------------------------------------
def result(**how: Any) -> Callable[..., Any]:
    return lambda *_, **__: SimpleNamespace(**how)


async def test_a_validator_that_says_neither_where_nor_what_instead_blocks() -> None:
    validator = SimpleNamespace(validate=result(outcome="fail", error_spans=None, fix_value=None))
    verdict = await said(Guardrails(validator, GuardrailsSettings(validator="m:Tone"), "1"), "x", "y")
    assert (verdict.action, verdict.reason, verdict.edits) == ("block", "Tone", ())


@pytest.mark.parametrize("fixed", ["ab", "abcd", "", "abxcd", "xabc", "aXc"])
async def test_what_a_validator_writes_instead_is_what_is_left(fixed: str) -> None:
    validator = SimpleNamespace(validate=result(outcome="fail", error_spans=[], fix_value=fixed))
    verdict = await said(Guardrails(validator, GuardrailsSettings(validator="m:Tone"), "1"), "abc")
    assert verdict.action == "redact" and redacted("abc", verdict.edits) == fixed


async def test_a_validator_that_answers_neither_has_failed() -> None:
    validator = SimpleNamespace(validate=result(outcome="maybe"))
    with pytest.raises(FlyballError, match="maybe"):
        await said(Guardrails(validator, GuardrailsSettings(validator="m:Tone"), "1"), "abc")


async def test_a_rail_that_rewrites_redacts_and_one_that_says_nothing_known_has_failed() -> None:
    class Rails:
        def __init__(self, status: str) -> None:
            self.status = status

        async def check_async(self, messages: list[dict[str, str]]) -> Any:
            return SimpleNamespace(status=self.status, content="clean", rail=None)

    verdict = await said(Nemo(Rails("modified"), NemoSettings(config="."), "1"), "dirty", " ")
    assert verdict.action == "redact" and redacted("dirty", verdict.edits) == "clean"
    with pytest.raises(FlyballError, match="odd"):
        await said(Nemo(Rails("odd"), NemoSettings(config="."), "1"), "dirty")
    blocked = await said(Nemo(Rails("blocked"), NemoSettings(config="."), "1"), "dirty")
    assert (blocked.action, blocked.reason) == ("block", "blocked")


async def test_what_presidio_finds_is_redacted_by_its_kind() -> None:
    found = [SimpleNamespace(start=9, end=24, score=0.85, entity_type="EMAIL_ADDRESS")]
    analyzer = SimpleNamespace(analyze=lambda **_: found)
    verdict = await said(Presidio(analyzer, PresidioSettings(), "2"), MAIL, "  ")
    assert redacted(MAIL, verdict.edits) == "write to [email_address], please"
    assert (verdict.score, verdict.reason) == (850, "email_address")


# where they are not ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "settings", "module", "extra"),
    [
        (open_presidio, {}, "presidio_analyzer", "presidio"),
        (open_guardrails, {"validator": "m:C"}, "guardrails.validator_base", "guardrails"),
        (open_nemo, {"config": "."}, "nemoguardrails", "nemo"),
    ],
)
def test_without_its_library_a_guard_says_what_to_install(
    make: Any, settings: Any, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FlyballError) as bad:
        make(GuardConfig(name="g", settings=settings))
    assert bad.value.code == "guard_extra" and f"flyball[{extra}]" in bad.value.fix


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (open_presidio, {"entity": []}), (open_guardrails, {}), (open_nemo, {}), (open_nemo, {"config": "/nowhere"}),
        (open_nemo, {"config": ".", "action": "redact"}),
    ],
)  # fmt: skip
def test_settings_that_are_none_are_refused(make: Any, settings: Any) -> None:
    with pytest.raises(FlyballError) as bad:
        make(GuardConfig(name="g", settings=settings))
    assert bad.value.code == "config_value"


def test_a_validator_that_cannot_be_made_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "guardrails", ModuleType("guardrails"))
    monkeypatch.setitem(sys.modules, "guardrails.validator_base", ModuleType("guardrails.validator_base"))
    with pytest.raises(FlyballError, match="cannot be made"):
        open_guardrails(GuardConfig(name="g", settings={"validator": "no_such_module:C"}))
