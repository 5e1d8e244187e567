"""The same demonstration on a model behind an endpoint, which here plays the script of whoever it is told to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from bench import HERE
from mailstore import MailStore

from flyball.adapters.model_scripted import load_script, play
from flyball.core.model import Message, ModelReply, ModelRequest, ToolCall

SCRIPT = load_script(HERE / "scripts" / "demo.toml")
AGENTS = {path.read_text("utf-8").strip(): path.stem for path in (HERE / "prompts").glob("*.md")}
KEY = "sk-of-the-desk"


class Server(ThreadingHTTPServer):
    """Remembers which path was asked, with which authorization, for which model."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Endpoint)
        self.asked: list[tuple[str, str, str]] = []


class Endpoint(BaseHTTPRequestHandler):
    """Chat completions: takes a request apart as it came over the wire, and answers as the script does."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, Server)
        self.server.asked.append((self.path, self.headers["Authorization"], body["model"]))
        answer = json.dumps(completion(play(SCRIPT, request_of(body)))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def request_of(body: dict[str, Any]) -> ModelRequest:
    system = body["messages"][0]["content"]
    agent = next(name for text, name in AGENTS.items() if system.startswith(text))
    return ModelRequest(model=body["model"], messages=tuple(map(message_of, body["messages"])), agent=agent)


def message_of(told: dict[str, Any]) -> Message:
    calls = tuple(ToolCall(id=c["id"], **c["function"]) for c in told.get("tool_calls") or ())
    text = told.get("content") or ""
    return Message(role=told["role"], text=text, calls=calls, call_id=told.get("tool_call_id", ""))


def completion(reply: ModelReply) -> dict[str, Any]:
    named = [(c.id, {"name": c.name, "arguments": c.arguments}) for c in reply.calls]
    calls = [{"id": id, "type": "function", "function": function} for id, function in named]
    message = {"role": "assistant", "content": reply.text or None, **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    usage = {"prompt_tokens": reply.usage.input, "completion_tokens": reply.usage.output}
    return {"id": "cmpl-1", "model": "served-2026", "choices": [choice], "usage": usage}


@pytest.fixture
def endpoint() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_story_is_the_same_on_a_model_of_the_users_own(project: Path, endpoint: Server) -> None:
    model = {
        "FLYBALL_MODEL": "openai:gpt-5-mini", "FLYBALL_MODEL_KEY": KEY,
        "FLYBALL_MODEL_BASE_URL": f"http://127.0.0.1:{endpoint.server_port}/v1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "demo.py"], cwd=project, env=os.environ | model, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    mails = [mail.to for mail in MailStore(project / ".demo" / "mail").mails()]
    assert mails == ["amara.okafor@elbe-pharma.example"]
    assert "SIGKILL" in done.stdout and "no-mail-to-strangers" in done.stdout and "verified:" in done.stdout
    assert "scripted" not in done.stdout and "script" not in done.stderr and KEY not in done.stdout
    assert set(endpoint.asked) == {("/v1/chat/completions", f"Bearer {KEY}", "gpt-5-mini")}
    assert len(endpoint.asked) >= 10
