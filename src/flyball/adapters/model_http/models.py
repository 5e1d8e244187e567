"""The models behind HTTP that a configuration can name, each with the format that it speaks."""

from __future__ import annotations

from typing import Final

from flyball.adapters.model_http.anthropic import AnthropicWire
from flyball.adapters.model_http.client import MAX_REPLY, HttpModel, host_of
from flyball.adapters.model_http.gemini import GeminiWire
from flyball.adapters.model_http.openai import OpenAIWire
from flyball.core.call import Secret
from flyball.core.model import ModelConfig

# Hosts whose newer models refuse `max_tokens`; everywhere else it is the name that is known for certain.
_NEW_LIMIT: Final = ("openai.com", "openai.azure.com", "services.ai.azure.com")


class OpenAIModel(HttpModel):
    """Any endpoint that speaks OpenAI's chat completions: hosted, on premises or on this machine."""

    def __init__(self, config: ModelConfig, key: Secret | None = None, *, max_reply: int = MAX_REPLY) -> None:
        """As `HttpModel`."""
        super().__init__(config, OpenAIWire(limit_field(config)), key, max_reply=max_reply)


class AnthropicModel(HttpModel):
    """Any endpoint that speaks Anthropic's messages."""

    def __init__(self, config: ModelConfig, key: Secret | None = None, *, max_reply: int = MAX_REPLY) -> None:
        """As `HttpModel`."""
        super().__init__(config, AnthropicWire(config.cache), key, max_reply=max_reply)


class GeminiModel(HttpModel):
    """Any endpoint that speaks Gemini's generateContent with a key."""

    def __init__(self, config: ModelConfig, key: Secret | None = None, *, max_reply: int = MAX_REPLY) -> None:
        """As `HttpModel`."""
        super().__init__(config, GeminiWire(), key, max_reply=max_reply)


def limit_field(config: ModelConfig) -> str:
    """What the endpoint of a configuration calls `max_tokens`. Raises FlyballError `bad_base_url`."""
    if config.limit_field != "auto":
        return config.limit_field
    host = host_of(config.name, config.base_url or OpenAIWire("").base)
    newer = any(host == h or host.endswith("." + h) for h in _NEW_LIMIT)
    return "max_completion_tokens" if newer else "max_tokens"
