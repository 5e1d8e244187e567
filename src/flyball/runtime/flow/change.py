"""Change: a guard around code that is new, so that runs made with the old code go on as they were."""

from __future__ import annotations

from flyball.core.steps import child
from flyball.runtime.flow.activation import Activation, Branch


def changed_since(at: Activation, branch: Branch, name: str) -> bool:
    """False while replaying what was recorded before the change of this name, else True; the marker says which."""
    path = f"{branch.prefix}#changed:{name}"
    if at.history.mark(path) is not None:
        return True
    if path in branch.kept or at.history.replaying(child(branch.prefix, branch.made + 1)):
        branch.kept.add(path)  # once the old way, always the old way: a loop asks again beyond the log
        return False
    branch.markers.append((path, True))
    return True
