"""LangGraph has the same conversation; what it keeps. `python -m benchmarks.workers.langgraph_talk FOLDER TURNS`.

The state is a list of messages that a reducer adds to, as in its tutorials; a node for the model, one for the tools.
"""

from __future__ import annotations

import json
import operator
import sqlite3
import sys
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver  # pyright: ignore[reportMissingImports]
from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingImports]

from benchmarks.workers.turns import say

RECEIPT = {"cents": 100, "receipt": "r" * 40, "note": "n" * 160}


class Talk(TypedDict):
    """The messages so far."""

    messages: Annotated[list[dict[str, Any]], operator.add]


def replied(talk: Talk) -> int:
    """How many replies of the model there are."""
    return sum(message["role"] == "assistant" for message in talk["messages"])


def tools(talk: Talk) -> dict[str, Any]:
    """What the tools of the last reply return."""
    last = talk["messages"][-1]
    told = [json.dumps({"number": call["arguments"]["number"], **RECEIPT}) for call in last["calls"]]
    answers = zip(last["calls"], told, strict=True)
    return {"messages": [{"role": "tool", "call": call["id"], "text": text} for call, text in answers]}


def main(folder: Path, turns: int) -> int:
    """Bytes of checkpoints and writes of a conversation with so many replies that call tools."""

    def model(talk: Talk) -> dict[str, Any]:
        turn = replied(talk) + 1
        calls = [{"id": f"c{turn}-{n}", "name": "look", "arguments": {"number": 2 * turn + n}} for n in range(2)]
        more = turn <= turns
        text = "I look the next two up." if more else "They are all there."
        return {"messages": [{"role": "assistant", "text": text, "calls": calls if more else []}]}

    def more(talk: Talk) -> str:
        return "tools" if talk["messages"][-1]["calls"] else END

    opened = sqlite3.connect(folder / f"talk-{turns}.sqlite", check_same_thread=False)
    graph = StateGraph(Talk)
    graph.add_node("model", model)
    graph.add_node("tools", tools)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", more, ["tools", END])
    graph.add_edge("tools", "model")
    config = {"configurable": {"thread_id": "1"}, "recursion_limit": 3 * turns + 5}
    asked = [{"role": "user", "text": "How many payments were there?"}]
    graph.compile(checkpointer=SqliteSaver(opened)).invoke({"messages": asked}, config, durability="sync")
    checkpoints = "SELECT sum(length(checkpoint) + length(metadata)) FROM checkpoints"
    return sum(
        int(opened.execute(kept).fetchone()[0]) for kept in (checkpoints, "SELECT sum(length(value)) FROM writes")
    )


if __name__ == "__main__":
    say({"bytes": main(Path(sys.argv[1]), int(sys.argv[2]))})
