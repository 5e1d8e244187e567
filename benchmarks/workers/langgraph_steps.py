"""LangGraph: checkpointed steps, nothing governed. `python -m benchmarks.workers.langgraph_steps FOLDER sync|async`.

The second word is LangGraph's own durability: `sync` has written a step's checkpoint before the next step begins,
`async` writes it while the next step runs. Both use the synchronous saver, which is the faster one for one run; it
sets WAL mode itself.
"""

from __future__ import annotations

import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypedDict
from uuid import uuid4

from langgraph.checkpoint.sqlite import SqliteSaver  # pyright: ignore[reportMissingImports]
from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingImports]

from benchmarks.workers.turns import take_turns

RESULT = {"receipt": "r" * 40, "note": "n" * 160, "cents": 1200}


class State(TypedDict):
    """What a graph keeps: how many steps are left, and the last result of about 240 bytes."""

    left: int
    told: dict[str, Any]


def step(state: State) -> State:
    """One step."""
    return {"left": state["left"] - 1, "told": {"number": state["left"], **RESULT}}


def more(state: State) -> str:
    """Another step, or the end."""
    return "step" if state["left"] else END


def compiled(folder: Path) -> Any:
    """A graph of one node that follows itself, over a file."""
    saver = SqliteSaver(sqlite3.connect(folder / "langgraph.sqlite", check_same_thread=False))
    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", more, ["step", END])
    return graph.compile(checkpointer=saver)


def main(folder: Path, durability: Literal["sync", "async"]) -> None:
    """Takes turns until there are no more."""
    graph = compiled(folder)

    def one(steps: int) -> int:
        config = {"configurable": {"thread_id": uuid4().hex}, "recursion_limit": steps + 2}
        graph.invoke({"left": steps, "told": {}}, config, durability=durability)
        return steps

    def rounds(runs: int, steps: int) -> dict[str, int]:
        with ThreadPoolExecutor(runs) as pool:
            return {"done": sum(pool.map(one, [steps] * runs))}

    take_turns(rounds, "langgraph", "langgraph-checkpoint-sqlite")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "sync" if sys.argv[2] == "sync" else "async")
