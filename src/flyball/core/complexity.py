"""How hard a question to a model looks: a whole number from 0 to 1000, counted from its form alone.

Rules:

* It is a function of the request: the same question has the same score, on every machine and in every replay.
* Five parts are counted apart, each up to a most of its own, and added: see `Complexity`. Nothing is understood, so a
  short question can be hard; a score says where to begin, and a fallback helps where that was wrong.

>>> complexity(ModelRequest(model="", messages=(Message(role="user", text="How long is the notice period?"),))).score
1
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from flyball.core.model import Message, ModelRequest

MOST: Final = 1_000
MOST_LENGTH, MOST_TOOLS, MOST_SCHEMA, MOST_CODE, MOST_HISTORY = 300, 200, 200, 150, 150
LETTERS, EACH_TOOL, EACH_LEVEL, EACH_LINE, EACH_TURN = 30, 20, 40, 10, 15
# Words that a line of code begins with; one of the marks then stands in it, too.
_WORD: Final = re.compile(r"(?:def|class|import|from|return|const|let|var|func|fn|public|SELECT|INSERT|UPDATE)\b")
_MARKS: Final = frozenset("(:=*,")
_DEEPEST: Final = 8


class Complexity(msgspec.Struct, frozen=True, kw_only=True):
    """The parts: `length` a point for 30 characters of what is shown, `tools` 20 for each on offer, `schema` 40 for
    each level of the answer's form and of the deepest tool's, `code` 10 for each line of code, `history` 15 for each
    turn."""

    length: int = 0
    tools: int = 0
    schema: int = 0
    code: int = 0
    history: int = 0

    @property
    def score(self) -> int:
        """Their sum."""
        return self.length + self.tools + self.schema + self.code + self.history


def complexity(request: ModelRequest) -> Complexity:
    """The score of a request. The instructions do not count: they are the same for every question."""
    shown = [message for message in request.messages if message.role != "system"]
    deep = max((depth(tool.schema) for tool in request.tools), default=0) + depth(request.output_schema)
    lines = sum(_is_code(line.strip()) for message in shown for line in message.text.splitlines())
    return Complexity(
        length=min(MOST_LENGTH, sum(_size(message) for message in shown) // LETTERS),
        tools=min(MOST_TOOLS, EACH_TOOL * len(request.tools)),
        schema=min(MOST_SCHEMA, EACH_LEVEL * deep),
        code=min(MOST_CODE, EACH_LINE * lines),
        history=min(MOST_HISTORY, EACH_TURN * sum(message.role == "assistant" for message in shown)),
    )


def depth(schema: Mapping[str, Any] | None) -> int:
    """How many objects and lists stand inside each other in a JSON schema; 0 where there is none."""
    return _depth(schema, 0)


def _depth(node: Any, level: int) -> int:
    if not isinstance(node, Mapping) or level >= _DEEPEST:
        return level
    inside = [node.get("items"), *_values(node.get("properties")), *_values(node.get("$defs"))]
    here = level + (node.get("type") in ("object", "array") or "properties" in node)
    return max(here, *(_depth(each, here) for each in inside), *(_depth(each, level) for each in _branches(node)))


def _values(node: Any) -> list[Any]:
    return list(node.values()) if isinstance(node, Mapping) else []


def _branches(node: Mapping[str, Any]) -> list[Any]:
    return [each for word in ("anyOf", "oneOf", "prefixItems") for each in node.get(word) or ()]


def _is_code(line: str) -> bool:
    if line.endswith((";", "{", "}")) or line.startswith("```"):
        return True
    return _WORD.match(line) is not None and not _MARKS.isdisjoint(line)


def _size(message: Message) -> int:
    return len(message.text) + sum(len(call.arguments) for call in message.calls)
