"""What three providers stream: the same two answers, event by event, and where an error stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from flyball.adapters.model_http.client import HttpModel
from flyball.adapters.model_http.models import AnthropicModel, GeminiModel, OpenAIModel
from flyball.core.call import Secret
from flyball.core.model import Message, ModelConfig, ModelRequest, ToolSpec
from tests.adapters.openai_server import Endpoint, completion, model_server, tool_call

KEY = "sk-very-secret-1234567890"
SEARCH = ToolSpec(name="search", description="Looks up.", schema={"type": "object", "properties": {"q": {}}})


@dataclass(frozen=True)
class Spoken:
    """A format: its adapter, where it is served, the two answers whole and streamed, events that tell of errors."""

    name: str
    model: type[OpenAIModel] | type[AnthropicModel] | type[GeminiModel]
    base: str
    routes: tuple[str, str]
    text: dict[str, Any]
    call: dict[str, Any]
    text_events: list[Any]
    call_events: list[Any]
    overloaded: Any
    limited: Any
    negative: Any

    def __str__(self) -> str:
        return self.name

    def open(self, endpoint: Endpoint, **more: Any) -> HttpModel:
        config = ModelConfig(name="default", base_url=endpoint.url + self.base, timeout_ms=5000)
        return self.model(config, Secret("env:K", KEY), **more)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Endpoint]:
        async with model_server(self.routes[0], self.text, self.call, self.routes[1]) as endpoint:
            endpoint.streams = {"text": self.text_events, "call": self.call_events, "half": self.text_events[:-1]}
            if self.name == "anthropic":  # its last event only says that the one before it was the last
                endpoint.streams["half"] = self.text_events[:-2]
            if self.name == "openai":
                endpoint.streams["half"] = self.text_events[:-3]
            yield endpoint


def ask(name: str, **more: Any) -> ModelRequest:
    return ModelRequest(**{"model": name, "messages": (Message(role="user", text="Hi"),), "tools": (SEARCH,), **more})


def _piece(delta: Any, finish: str | None = None, **more: Any) -> Any:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "cmpl-1", "model": "test-1", "choices": [choice], **more}


_USED = {"prompt_tokens": 11, "completion_tokens": 7}
_LAST = {"id": "cmpl-1", "model": "test-1", "choices": [], "usage": _USED}
OPENAI = Spoken(
    "openai", OpenAIModel, "/v1", ("/v1/chat/completions", ""),
    completion({"content": "Hello you."}, "stop", model="test-1", usage=_USED),
    completion({"content": None, "tool_calls": [tool_call('{"q": 1.50}')]}, "tool_calls", model="test-1", usage=_USED),
    [_piece({"role": "assistant", "content": ""}), _piece({"content": "Hello "}, usage=None),
     _piece({"content": "you."}), _piece({}, "stop"), _LAST, b"[DONE]"],
    [_piece({"tool_calls": [{"index": 0, **tool_call("")}]}),
     _piece({"tool_calls": [{"index": 0, "function": {"arguments": '{"q": 1.'}}]}),
     _piece({"tool_calls": [{"index": 0, "function": {"arguments": "50}"}}]}),
     _piece({}, "tool_calls"), _LAST, b"[DONE]"],
    {"error": {"message": f"busy {KEY}", "type": "server_error"}}, {"error": {"message": "slow down", "code": 429}},
    {**_LAST, "usage": {"prompt_tokens": -4, "completion_tokens": 1}},
)  # fmt: skip

_COUNTS = {"input_tokens": 11, "output_tokens": 1}


def _message(*content: Any, stop: str = "end_turn") -> dict[str, Any]:
    usage = {"input_tokens": 11, "output_tokens": 7}
    return {"id": "msg_1", "model": "test-1", "content": list(content), "stop_reason": stop, "usage": usage}


def _block(index: int, block: Any, *deltas: Any) -> list[Any]:
    begun = {"type": "content_block_start", "index": index, "content_block": block}
    added = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [begun, *added, {"type": "content_block_stop", "index": index}]


def _end(stop: str, **usage: int) -> list[Any]:
    told = {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 7, **usage}}
    return [told, {"type": "message_stop"}]


_BEGUN = {"type": "message_start", "message": {**_message(), "stop_reason": None, "usage": _COUNTS}}
_USE = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}}
_THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "sig=="}
_OVER = {"type": "overloaded_error", "message": f"busy {KEY}"}
ANTHROPIC = Spoken(
    "anthropic", AnthropicModel, "/v1", ("/v1/messages", ""),
    _message({"type": "text", "text": "Hello you."}),
    _message(_THOUGHT, {**_USE, "input": {"q": 1.5}}, stop="tool_use"),
    [_BEGUN, {"type": "ping"}, *_block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello "},
                                       {"type": "text_delta", "text": "you."}), *_end("end_turn")],
    [_BEGUN,
     *_block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "Hm."},
             {"type": "signature_delta", "signature": "sig=="}),
     *_block(1, _USE, {"type": "input_json_delta", "partial_json": ""},
             {"type": "input_json_delta", "partial_json": '{"q":'},
             {"type": "input_json_delta", "partial_json": "1.5}"}),
     *_end("tool_use")],
    {"type": "error", "error": _OVER}, {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
    _end("end_turn", output_tokens=-4)[0],
)  # fmt: skip


def _answer(*parts: Any, stop: str | None = None, used: int = 7) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, **({"finishReason": stop} if stop else {})}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": used}
    return {"responseId": "r1", "modelVersion": "test-1", "candidates": [candidate], "usageMetadata": usage}


_SIGNED = {"functionCall": {"name": "search", "args": {"q": 1.5}}, "thoughtSignature": "c2ln"}
_HM = {"text": "Hm.", "thought": True}
GEMINI = Spoken(
    "gemini", GeminiModel, "/v1",
    ("/v1/models/{model:[^:/]+}:generateContent", "/v1/models/{model:[^:/]+}:streamGenerateContent"),
    _answer({"text": "Hello you."}, stop="STOP"), _answer(_HM, _SIGNED, stop="STOP"),
    [_answer({"text": "Hello "}, used=1), _answer({"text": "you."}, used=3), _answer({"text": ""}, stop="STOP")],
    [_answer(_HM, used=2), _answer(_SIGNED, stop="STOP")],
    {"error": {"code": 503, "message": f"busy {KEY}", "status": "UNAVAILABLE"}},
    {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}},
    _answer({"text": ""}, stop="STOP", used=-4),
)  # fmt: skip

ALL = (OPENAI, ANTHROPIC, GEMINI)
