"""The workshop, for users too: the Lab and a conformance suite per port.

Each name is imported from its defining module when it is first asked for, so that naming pytest's plugin costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyball.testing.cases import policy_cases
    from flyball.testing.crash import Crash
    from flyball.testing.decide import Verdict
    from flyball.testing.lab import Lab
    from flyball.testing.script import Say, propose
    from flyball.testing.sockets import no_models

_HOME = {
    "Crash": "crash", "Lab": "lab", "Say": "script", "Verdict": "decide", "no_models": "sockets",
    "policy_cases": "cases", "propose": "script",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'flyball.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"flyball.testing.{_HOME[name]}"), name)
    return value


__all__ = ["Crash", "Lab", "Say", "Verdict", "no_models", "policy_cases", "propose"]
