"""Verdicts again: a recorded decision from its recorded inputs, its recorded bundles and the release it was made on.

Nothing is asked of the code, the loaders or the policies as they are now. A tool's schema is part of what was decided,
so the action is read from the release in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from flyball.app.cases import Asked, as_entities
from flyball.app.wiring import Rooms
from flyball.core.attested import content
from flyball.core.decision import Decision
from flyball.core.effect import LASTING, REQUIRES, Action, precondition_of
from flyball.core.errors import FlyballError
from flyball.core.journal import BlobRow
from flyball.core.proposal import Inputs
from flyball.core.record import Opened
from flyball.runtime.enforce import InForce, layers_of, may_stream

DECIDED = ("intent", "decision", "asked")
# How much of the log is looked at for the last decisions.
WINDOW = 20_000
_WORDS: Mapping[str, Any] = {
    "model": {"kind": "model", "effect": "read", "egress": True},
    "context": {"kind": "context", "effect": "read", "egress": False},
    "recall": {"kind": "recall", "effect": "read", "egress": False},
    "remember": {"kind": "remember", "effect": "reversible", "egress": False},
    "approve": {"kind": "approve", "effect": "reversible", "egress": False},
    "activate": {"kind": "policy", "effect": "reversible", "egress": False},
}


class Verdicts:
    """Recorded decisions of one tenant, made again."""

    def __init__(self, rooms: Rooms, tenant: str) -> None:
        self._rooms, self._tenant = rooms, tenant
        self._releases: dict[str, Mapping[str, str]] = {}
        self._actions: dict[tuple[str, str], Action] = {}

    def asked(self, record: Opened, release: str) -> Asked | None:
        """What a record decided; None where no policy was asked: it was refused before. `release`: of its run then.

        Raises FlyballError `subject_erased`, `unknown_release` or `unknown_tool`.
        """
        if record.private is None:
            raise FlyballError("subject_erased", f"what {record.id} decided was erased with its subject")
        private = record.private
        if not isinstance(private.get("request"), Mapping):
            return None
        inputs = msgspec.convert(private["request"], Inputs)
        action = self._action(inputs.action, str(record.facts.get("release", release)))
        if inputs.resource.type == "Memory":  # whether its texts left the house is the configuration's of then
            leaves = any(node.attrs.get("egress") for node in inputs.entities if node.uid == inputs.resource)
            action = msgspec.structs.replace(action, egress=leaves)
        args = private.get("args", {})
        again = partial(refilled, action.input_schema, args)
        return Asked(action, private.get("proposed", args), self._typed(inputs, release), again)

    def force(self, record: Opened) -> InForce:
        """The bundles that decided it; raises `unknown_bundle`, or `journal_corrupt` where they were changed."""
        return self.of(record.facts["bundles"])

    def of(self, digests: Iterable[str]) -> InForce:
        """These bundles, from the log."""
        return layers_of([self._rooms.policies.load(self._tenant, digest) for digest in digests])

    def again(self, record: Opened, release: str, force: InForce | None = None) -> Decision | None:
        """The verdict derived again, under the bundles that decided it (or others); None where no policy was asked."""
        asked = self.asked(record, release)
        return asked.decide(force or self.force(record)) if asked is not None else None

    def streams(self, record: Opened, release: str) -> bool:
        """May the answer of this model call be shown while it arrives, by what decided it?"""
        asked = self.asked(record, release)
        return asked is not None and may_stream((record.private or {})["args"], asked.inputs, self.force(record))

    # what a release holds --------------------------------------------------------------------------------------------
    def _action(self, word: str, release: str) -> Action:
        known = self._actions.get((word, release))
        if known is None:
            known = self._actions[word, release] = self._read(word, release)
        return known

    def _read(self, word: str, release: str) -> Action:
        if word in _WORDS:
            return msgspec.convert({"name": word, **_WORDS[word]}, Action)
        if word in LASTING:
            # Policies see nothing of their arguments: the resource says which it is.
            return Action(name=word, kind=word, effect="read", egress=False)  # type: ignore[arg-type]
        part = self._part(f"tool/{word.removesuffix(REQUIRES)}", release)
        if part is None:
            raise FlyballError("unknown_tool", f"release {release[:12]} of the log holds no tool {word}")
        action = msgspec.convert(part["action"], Action)
        return precondition_of(action) if word.endswith(REQUIRES) else action

    def _part(self, name: str, release: str) -> Any:
        digest = self._names(release).get(name)
        row = self._rooms.ports.journal.view(self._tenant).row(BlobRow, digest) if digest else None
        return msgspec.json.decode(content(row)) if row is not None else None

    def _names(self, release: str) -> Mapping[str, str]:
        if release not in self._releases:
            row = self._rooms.ports.journal.view(self._tenant).row(BlobRow, release)
            if row is None:
                raise FlyballError("unknown_release", f"release {release[:12]} is not in the log")
            self._releases[release] = msgspec.json.decode(content(row))
        return self._releases[release]

    def _typed(self, inputs: Inputs, release: str) -> Inputs:
        """Attributes that are entities, as entities again: JSON has no word for them."""
        nodes = []
        for node in inputs.entities:
            declared = self._part(f"entity/{node.uid.type}", release) or {}
            attrs = as_entities(node.attrs, declared) if declared else node.attrs
            nodes.append(msgspec.structs.replace(node, attrs=attrs))
        return msgspec.structs.replace(inputs, entities=tuple(nodes))


def refilled(schema: Mapping[str, Any], recorded: Any, changed: Mapping[str, Any]) -> Mapping[str, Any] | str:
    """Arguments that a modifier changed, as validation made them: what it took away has its declared default again.

    The types of then are not in the log, their schema is. A default that a schema cannot say is the `recorded` value.
    """
    filled = dict(changed)
    for name, inner in schema.get("properties", {}).items():
        there = recorded.get(name) if isinstance(recorded, Mapping) else None
        if name in filled:
            if isinstance(filled[name], Mapping):
                deeper = refilled(_object(inner), there, filled[name])
                if isinstance(deeper, str):
                    return deeper
                filled[name] = deeper
        elif name in schema.get("required", ()):
            return f"{name} is required"
        elif "default" in inner:
            filled[name] = inner["default"]
        elif isinstance(recorded, Mapping) and name in recorded:
            filled[name] = there
    return filled


def _object(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    branches = [b for b in schema.get("anyOf", ()) if b.get("type") == "object"]
    return branches[0] if len(branches) == 1 else schema


def released(records: Sequence[Opened]) -> dict[int, str]:
    """Index of each record -> the release that its run stood on then."""
    found: dict[int, str] = {}
    release = ""
    for record in records:
        if record.kind == "run_started":
            release = str(record.facts["release"])
        elif record.kind == "run_moved":
            release = str(record.facts["to"])
        found[record.index] = release
    return found
