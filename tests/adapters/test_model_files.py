"""Pictures and documents as each provider takes them."""

from typing import Any

import msgspec
import pytest

from flyball.adapters.model_http.anthropic import AnthropicWire
from flyball.adapters.model_http.gemini import GeminiWire
from flyball.adapters.model_http.openai import OpenAIWire
from flyball.core.artifact import Artifact
from flyball.core.model import Message, ModelRequest

IMAGE = Artifact(digest="i", name="a.png", media_type="image/png", size=3)
PDF = Artifact(digest="p", name="a.pdf", media_type="application/pdf", size=3)
REQUEST = ModelRequest(
    model="m", messages=(Message(role="user", text="What?", artifacts=(IMAGE, PDF)),), files={"i": b"png", "p": b"pdf"}
)
OPENAI = [
    {"type": "text", "text": "What?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
]
ANTHROPIC = [
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "cG5n"}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "cGRm"}},
    {"type": "text", "text": "What?"},
]
GEMINI = [
    {"inlineData": {"mimeType": "image/png", "data": "cG5n"}},
    {"inlineData": {"mimeType": "application/pdf", "data": "cGRm"}},
    {"text": "What?"},
]


@pytest.mark.parametrize(
    ("wire", "where", "parts"),
    [(OpenAIWire("max_tokens"), ("messages", "content"), OPENAI), (AnthropicWire(), ("messages", "content"), ANTHROPIC),
     (GeminiWire(), ("contents", "parts"), GEMINI)],
)  # fmt: skip
def test_files_stand_in_the_request_as_the_provider_documents_it(wire: Any, where: tuple[str, str], parts: Any) -> None:
    body = msgspec.json.decode(wire.body(REQUEST, stream=False))
    assert body[where[0]][0][where[1]] == parts
