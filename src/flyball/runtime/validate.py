"""Validate: schema, size, depth and formats, and that files are known, before any policy sees the arguments.

Defaults are materialised here, so that what policy sees is what the tool gets. Null is not absent. Keys that begin with
`__` are refused, and so are NaN and Infinity, wherever they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from flyball.core.artifact import held
from flyball.core.canonical import check_tree
from flyball.core.errors import FlyballError
from flyball.core.proposal import Proposal
from flyball.core.result import Blocked
from flyball.core.signature import to_json, whole

# Was exactly this file kept, in a tenant, for a subject?
Known = Callable[[str, str, Mapping[str, Any]], bool]


class Validate:
    """Checks arguments against limits and the action's own signature, and files against what was `kept`."""

    def __init__(self, max_bytes: int = 1_048_576, max_depth: int = 64, *, kept: Known = lambda *_: False) -> None:
        self._max_bytes, self._max_depth, self._kept = max_bytes, max_depth, kept

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
        arguments = to_json(whole(parsed))
        unknown = self._unknown(proposal, arguments, signature.artifacts) if signature.artifacts else ""
        return _invalid(proposal, unknown) if unknown else replace(proposal, arguments=arguments, given=given)

    def _unknown(self, proposal: Proposal, arguments: Mapping[str, Any], pointers: Iterable[str]) -> str:
        tenant, subject = proposal.place.tenant, proposal.place.subject
        for pointer in sorted(pointers):
            for value in held(arguments, pointer):
                if not self._kept(tenant, subject, value):
                    return f"{pointer.rpartition('/')[0]}: no such artifact was kept for whom this run is about"
        return ""


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
