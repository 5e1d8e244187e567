"""Llama Guard behind chat completions: it answers `safe`, or `unsafe` and the categories (`S1,S10`) on the next line.

    [guards.harm]
    adapter = "llama_guard"
    stages = ["input", "final_output"]
    url = "http://127.0.0.1:8000/v1"
    settings = { model = "meta-llama/Llama-Guard-3-8B" }

The server puts the text into the model's own template. Any other answer is none.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from flyball.adapters.guard_http.joined import Joined
from flyball.adapters.guard_http.service import Service
from flyball.core.call import Secret
from flyball.core.errors import FlyballError
from flyball.core.guard import MOST_SCORE, Act, GuardConfig, Subject, Verdict

_UNSAFE: Final = re.compile(r"unsafe\s+(S[0-9]{1,2}(?:\s*,\s*S[0-9]{1,2}){0,20})")
_MOST_TOKENS: Final = 64


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`model` as the server calls it; `action` what is unsafe comes to; `ignore` the categories that do not count."""

    model: str
    action: Act = "block"
    ignore: tuple[str, ...] = ()


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_Choice]


class LlamaGuard:
    """Implements `ports.guard.Guard`."""

    local = False

    def __init__(self, service: Service, settings: Settings) -> None:
        self._service, self._settings = service, settings
        self.version = f"llama_guard@{settings.model}"[:64].replace(" ", "_")

    async def check(self, subject: Subject) -> Verdict:
        """What it says of the passages, as one message of whoever wrote them."""
        text = Joined(subject.passages).text
        if not text.strip():
            return Verdict()
        messages = [{"role": "user", "content": text}]
        if subject.stage in ("final_output", "tool_args"):  # what an agent says is judged as an answer to somebody
            messages = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": text}]
        answer = await self._service.ask({
            "model": self._settings.model, "messages": messages, "temperature": 0, "max_tokens": _MOST_TOKENS,
        })  # fmt: skip
        choices = msgspec.convert(answer, _Answer).choices
        return self._verdict(choices[0].message.content.strip() if choices else "")

    def _verdict(self, said: str) -> Verdict:
        if said == "safe":
            return Verdict()
        match = _UNSAFE.fullmatch(said)
        if match is None:
            raise FlyballError("guard_answer", "Llama Guard answered neither safe nor unsafe")
        categories = [c.strip() for c in match[1].split(",")]
        counted = [c for c in categories if c not in self._settings.ignore]
        if not counted:
            return Verdict(reason=categories[0].lower())
        return Verdict(action=self._settings.action, score=MOST_SCORE, reason=counted[0].lower())

    async def close(self) -> None:
        """Closes its connections."""
        await self._service.close()


def open_llama_guard(config: GuardConfig, key: Secret | None = None) -> LlamaGuard:
    """The guard of one `[guards.NAME]`; raises FlyballError `config_value`."""
    try:
        settings: Any = msgspec.convert(config.settings, Settings)
    except msgspec.ValidationError as bad:
        raise FlyballError("config_value", f"[guards.{config.name}.settings]", str(bad)) from None
    if settings.action == "redact":
        raise FlyballError(
            "config_value", f"[guards.{config.name}.settings] action", "it says not where", 'Write action = "block".'
        )
    return LlamaGuard(Service(config, f"{config.url.rstrip('/')}/chat/completions", key), settings)
