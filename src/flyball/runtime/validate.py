"""Validate (pure): schema, size, depth and formats, before any policy sees the arguments.

Defaults are materialised here, so that what policy sees is what the tool gets. Null is not absent. Keys that begin with
`__` are refused, and so are NaN and Infinity, wherever they stand.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from flyball.core.canonical import check_tree
from flyball.core.errors import FlyballError
from flyball.core.proposal import Proposal
from flyball.core.result import Blocked
from flyball.core.signature import to_json, whole


class Validate:
    """Checks arguments against limits and the action's own signature."""

    def __init__(self, max_bytes: int = 1_048_576, max_depth: int = 64) -> None:
        self._max_bytes, self._max_depth = max_bytes, max_depth

    def parse(self, proposal: Proposal) -> Proposal | Blocked:
        """The proposal with its arguments as the tool will get them, or `invalid_proposal` with what is wrong."""
        if proposal.problem:
            return _invalid(proposal, proposal.problem)
        try:
            check_tree(proposal.arguments, max_bytes=self._max_bytes, max_depth=self._max_depth)
        except FlyballError as bad:
            return _invalid(proposal, str(bad))
        signature = proposal.performer.signature
        given = frozenset(proposal.arguments) if proposal.given is None else proposal.given
        if signature is None:
            return replace(proposal, given=given)
        try:
            parsed = msgspec.convert(proposal.arguments, signature.arguments, dec_hook=_pydantic, str_keys=True)
        except msgspec.ValidationError as bad:
            return _invalid(proposal, str(bad))
        except RecursionError:
            return _invalid(proposal, "nested too deeply")
        return replace(proposal, arguments=to_json(whole(parsed)), given=given)


def _pydantic(kind: type, value: object) -> object:
    validate = getattr(kind, "model_validate", None)
    if validate is None:
        raise TypeError(f"{kind.__qualname__} cannot be read from JSON")
    return validate(value)


def _invalid(proposal: Proposal, why: str) -> Blocked:
    names = ", ".join(proposal.performer.signature.names) if proposal.performer.signature else ""
    return Blocked(
        "invalid_proposal", what=f"{proposal.action.name} cannot take these arguments", why=why,
        fix=f"it takes ({names})" if names else "",
    )  # fmt: skip
