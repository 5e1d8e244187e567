"""State: typed facts of a run, changed only by named pure functions whose arguments are recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flyball.core.errors import FlyballError
from flyball.core.record import Event
from flyball.core.signature import to_json
from flyball.runtime.flow.activation import Activation, Branch
from flyball.runtime.flow.step import Halted


async def reduce(
    at: Activation, branch: Branch, path: str, reducer: Callable[..., Any], args: Sequence[Any], kw: Mapping[str, Any]
) -> Any:
    """The state after the reducer, recorded by its name and arguments the first time."""
    name = reducer.__qualname__
    if "<" in name:
        raise FlyballError(
            "unnamed_reducer", f"{name} has no name of its own", fix="define the reducer at module level"
        )
    data = {"args": [to_json(a) for a in args], "named": {k: to_json(v) for k, v in kw.items()}}
    known = at.history.past(path).last("state")
    if known is None:
        at.check_limits(branch)
        event = Event(
            kind="state", run=at.row.id, path=path, facts={"reducer": name}, private=data, subjects=at.subjects
        )
        await at.note(branch, event)
    elif known.facts["reducer"] != name or (known.private is not None and dict(known.private) != data):
        raise Halted("replay_diverged", f"step {path}: the log holds another update than {name} with these arguments")
    at.state = reducer(at.state, *args, **kw)
    return at.state
