"""What an agent's model is offered to propose: its tools, other agents, handoffs, a question, giving the task back.

Rules:

* Another agent is offered under its name, a handoff under `handoff_to_NAME`; both take the other agent's input.
* What has an effect or starts an agent is offered with one argument more, `reason`: what the model says for it. It is
  recorded and shown to whoever approves; the tool never gets it. A tool with an argument of that name keeps its own.
* A tool of the project's own that is called `ask` or `hand_back` stands for ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from flyball.core.agent import Agent
from flyball.core.model import ToolSpec
from flyball.core.tool import Tool

Kind = Literal["tool", "agent", "handoff", "ask", "hand_back"]
HANDOFF: Final = "handoff_to_"
REASON: Final = "reason"
MOST_REASON: Final = 1_000
ASK: Final = ToolSpec(
    name="ask", description="Ask the person you work for a question when you cannot go on without an answer.",
    schema={"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
)  # fmt: skip
HAND_BACK: Final = ToolSpec(
    name="hand_back", description="Give the task back to the person you work for, saying why you cannot do it.",
    schema={"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]},
)  # fmt: skip
_REASON: Final[Mapping[str, Any]] = {
    "type": "string", "description": "Why, in one sentence: it is recorded, and shown to whoever must approve.",
}  # fmt: skip


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that may be proposed. `value` is the tool or agent behind it; `argued`: a reason is asked for."""

    spec: ToolSpec
    kind: Kind
    value: Any = None
    argued: bool = False

    def taken(self, arguments: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
        """What is proposed, and apart from it the reason that the model gave; empty where it gave none."""
        if not self.argued or REASON not in arguments:
            return arguments, ""
        said = arguments[REASON]
        rest = {name: value for name, value in arguments.items() if name != REASON}
        return rest, said.strip()[:MOST_REASON] if isinstance(said, str) else ""

    def wrong(self, arguments: Mapping[str, Any]) -> str:
        """What is wrong with a proposal that no tool's schema checks, for the model to repair; empty where nothing."""
        if self.kind == "ask":
            asked = arguments.get("question")
            good = isinstance(asked, str) and bool(asked.strip())
            return "" if good else 'ask needs {"question": "..."} with the question in it.'
        if self.kind in ("agent", "handoff") and arguments.keys() - {REASON} != {"input"}:
            return f'{self.spec.name} needs {{"input": ...}} with what to work on in it.'
        return ""


def offers(agent: Agent[Any, Any]) -> dict[str, Offer]:
    """Everything that an agent's model may propose, by name, in the order in which it is told."""
    found = [_tool(one) if isinstance(one, Tool) else _agent(one, "agent") for one in agent.tools]
    found += [_agent(one, "handoff") for one in agent.handoffs]
    named = {offer.spec.name: offer for offer in found}
    if agent.may_ask:
        named.setdefault(ASK.name, Offer(spec=ASK, kind="ask"))
    if agent.may_hand_back:
        named.setdefault(HAND_BACK.name, Offer(spec=HAND_BACK, kind="hand_back"))
    return named


def _tool(tool: Tool[..., Any]) -> Offer:
    action = tool.action
    argued = action.effect != "read" and REASON not in action.input_schema.get("properties", {})
    schema = _argued(action.input_schema) if argued else action.input_schema
    spec = ToolSpec(name=tool.name, description=action.description, schema=schema)
    return Offer(spec=spec, kind="tool", value=tool, argued=argued)


def _agent(agent: Agent[Any, Any], kind: Kind) -> Offer:
    given = agent.action.input_schema or {"type": "string"}
    schema = {"type": "object", "properties": {"input": given}, "required": ["input"]}
    if kind == "handoff":
        name, what = f"{HANDOFF}{agent.name}", f"Hand the whole task over to {agent.name}; your own work ends there."
    else:
        name, what = agent.name, f"Have {agent.name} do a part of the work, and get its answer."
    spec = ToolSpec(name=name, description=f"{what} {agent.about}".strip(), schema=_argued(schema))
    return Offer(spec=spec, kind=kind, value=agent, argued=True)


def _argued(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {**schema.get("properties", {}), REASON: _REASON}}
