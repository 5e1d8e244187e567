"""Flyball: the governed execution runtime for AI agents.

What users import; nothing is decided here. Each name is imported from its defining module when it is first asked for,
so that `import flyball` and the command line start at once. The rest of the package is imported from where it is
defined.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyball.app.flyball import Flyball, RunHandle
    from flyball.app.short import run
    from flyball.core.agent import Agent, Prompt, agent
    from flyball.core.artifact import Artifact
    from flyball.core.call import Call, Resource, Secret, Tenant, resource
    from flyball.core.config import Config
    from flyball.core.effect import Key, Retry
    from flyball.core.entity import Entity, entity
    from flyball.core.errors import FlyballError
    from flyball.core.event import Event
    from flyball.core.flow import Flow, flow
    from flyball.core.identity import Principal
    from flyball.core.limits import Limits
    from flyball.core.marks import Critical, Outgoing, Personal, Ref, Trusted
    from flyball.core.memory import Memory, Recall, Remembered, Skipped
    from flyball.core.result import Blocked, Completed, Executed, Failed, NotDone, Pending, Result, Stopped, Waiting
    from flyball.core.session import history
    from flyball.core.source import Passage, Source, source
    from flyball.core.tool import Tool, tool
    from flyball.runtime.flow.run import Run
    from flyball.runtime.flow.step import Step
    from flyball.runtime.prompt import prompt

__version__ = "0.1.0"

_DEFINED_IN = {
    "flyball.app.flyball": ("Flyball", "RunHandle",),
    "flyball.app.short": ("run",),
    "flyball.core.agent": ("Agent", "Prompt", "agent",),
    "flyball.core.artifact": ("Artifact",),
    "flyball.core.call": ("Call", "Resource", "Secret", "Tenant", "resource",),
    "flyball.core.config": ("Config",),
    "flyball.core.effect": ("Key", "Retry",),
    "flyball.core.entity": ("Entity", "entity",),
    "flyball.core.errors": ("FlyballError",),
    "flyball.core.event": ("Event",),
    "flyball.core.flow": ("Flow", "flow",),
    "flyball.core.identity": ("Principal",),
    "flyball.core.limits": ("Limits",),
    "flyball.core.marks": ("Critical", "Outgoing", "Personal", "Ref", "Trusted",),
    "flyball.core.memory": ("Memory", "Recall", "Remembered", "Skipped",),
    "flyball.core.result": (
        "Blocked", "Completed", "Executed", "Failed", "NotDone", "Pending", "Result", "Stopped", "Waiting",
    ),
    "flyball.core.session": ("history",),
    "flyball.core.source": ("Passage", "Source", "source",),
    "flyball.core.tool": ("Tool", "tool",),
    "flyball.runtime.flow.run": ("Run",),
    "flyball.runtime.flow.step": ("Step",),
    "flyball.runtime.prompt": ("prompt",),
}  # fmt: skip
_HOME = {name: module for module, names in _DEFINED_IN.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'flyball' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


__all__ = [
    "Agent", "Artifact", "Blocked", "Call", "Completed", "Config", "Critical", "Entity", "Event", "Executed",
    "Failed", "Flow", "Flyball", "FlyballError", "Key", "Limits", "Memory", "NotDone", "Outgoing", "Passage",
    "Pending", "Personal", "Principal", "Prompt", "Recall", "Ref", "Remembered", "Resource", "Result", "Retry",
    "Run", "RunHandle", "Secret", "Skipped", "Source", "Step", "Stopped", "Tenant", "Tool", "Trusted", "Waiting",
    "__version__", "agent", "entity", "flow", "history", "prompt", "resource", "run", "source", "tool",
]  # fmt: skip
