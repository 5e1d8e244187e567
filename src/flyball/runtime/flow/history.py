"""What the log holds of a run, by step."""

from __future__ import annotations

from collections.abc import Iterable

from flyball.core.effect import LASTING, REQUIRES
from flyball.core.outcome import Past
from flyball.core.record import Opened
from flyball.core.steps import after, bare, child, generation_of, parent, root

# Kinds that belong to the run itself, not to a step of its flow.
_RUN_KINDS = frozenset({"run_started", "run_parked", "run_continued", "run_ended", "run_stopped", "run_moved"})


class History:
    """A run's records, grouped by the step they belong to; remembers which steps the code has asked for."""

    def __init__(self, records: Iterable[Opened] = ()) -> None:
        self._steps: dict[str, list[Opened]] = {}
        self._marks: dict[str, Opened] = {}
        self._asked: set[str] = set()
        self.run: list[Opened] = []
        self._handed: dict[str, str] | None = None
        for record in records:
            if record.kind in _RUN_KINDS:
                self.run.append(record)
            elif record.kind == "marker":
                self._marks[record.path] = record
            else:
                self._steps.setdefault(bare(record.path), []).append(record)

    def past(self, path: str) -> Past:
        """The records of a step; the code has asked for it now."""
        self._asked.add(path)
        return Past(records=tuple(self._steps.get(path, ())))

    def held(self, path: str) -> list[Opened]:
        """The records of a step, without the code having asked for it."""
        return list(self._steps.get(path, ()))

    def checks(self, path: str) -> tuple[Past, ...]:
        """The records of each time that a step was asked what it requires: they stand beneath it."""
        found: list[Past] = []
        while child(path, len(found) + 1) in self._steps:
            found.append(self.past(child(path, len(found) + 1)))
        return tuple(found)

    def mark(self, path: str) -> Opened | None:
        """A marker that rode in some append."""
        return self._marks.get(path)

    def proposed(self, path: str) -> tuple[str, str] | None:
        """Kind and name of the action that was first proposed at a step; None where the log holds nothing there."""
        first = next((r for r in self._steps.get(path, ()) if r.kind in ("decision", "intent", "asked")), None)
        if first is None:
            return ("", "") if path in self._steps else None
        request = (first.private or {}).get("request", {})
        kind = first.facts.get("action_kind", request.get("action", ""))
        return str(kind), str(first.facts.get("action", first.facts.get("covers", {}).get("action", "")))

    def replaying(self, path: str) -> bool:
        """Does the log hold this step or a later one of its branch?"""
        return path in self._steps or after(path, frozenset(self._steps))

    def ended(self) -> bool:
        """Is the run over?"""
        return any(r.kind == "run_ended" for r in self.run)

    def steps(self) -> int:
        """How many steps the current generation has taken."""
        generation = root(self.generation)
        return sum(generation_of(path) == generation for path in self._steps)

    @property
    def continued(self) -> Opened | None:
        """The record with which the present generation began; None in the first."""
        return next((r for r in reversed(self.run) if r.kind == "run_continued"), None)

    @property
    def generation(self) -> int:
        """How often the run has begun with a fresh history, the first time included."""
        return int(self.continued.facts["generation"]) if self.continued is not None else 1

    def closed(self, path: str) -> bool:
        """Does the log hold an outcome of this step? Then what is inside it is folded, and nobody asks for it again."""
        return any(r.kind == "outcome" for r in self._steps.get(path, ()))

    def signals(self) -> dict[str, int]:
        """The latest value of each signal, in ten-thousandths."""
        given = [r for records in self._steps.values() for r in records if r.kind == "signal"]
        return {str(r.facts["name"]): int(r.facts["value"]) for r in sorted(given, key=lambda r: r.index)}

    def _over(self) -> dict[str, str]:
        begun = {p: r for p, records in self._steps.items() for r in records if r.kind == "intent"}
        done = (r.path for r in self.outcomes() if r.kind == "outcome" and r.facts["status"] == "executed")
        handoffs = (p for p in done if p in begun and begun[p].facts["action_kind"] == "handoff")
        return {path: str(begun[path].facts["action"]) for path in handoffs}

    @property
    def handed(self) -> dict[str, str]:
        """Step -> the agent that took the work over there and did it; what is done now is added to it."""
        if self._handed is None:
            self._handed = self._over()
        return self._handed

    def unasked(self, *, deep: bool = False) -> list[str]:
        """Steps that the log holds and the code never asked for, below no other such step; `deep`: inside those too."""
        generation = root(self.generation)
        mine = [p for p in self._steps if generation_of(p) == generation]
        return sorted(p for p in mine if p not in self._asked and (deep or not self._inside(p)))

    def unasked_in(self, prefix: str) -> list[str]:
        """The steps of one branch that the log holds and the code never asked for."""
        return sorted(p for p in self._steps if parent(p) == prefix and p not in self._asked)

    def _inside(self, path: str) -> bool:
        # The steps inside a finished agent or flow are folded into its one result.
        parts = path.split(".")
        return any(".".join(parts[:n]) in self._asked for n in range(1, len(parts)))

    def outcomes(self) -> list[Opened]:
        """What says what happened, in order: every outcome, late outcome and resolution that nothing contradicts."""
        found = [r for records in self._steps.values() for r in Past(records=tuple(records)).counted()]
        return sorted(found, key=lambda r: r.index)

    def contradicted(self) -> list[Opened]:
        """The questions that nobody has answered whether something happened that the log says did not."""
        return [r for records in self._steps.values() for r in Past(records=tuple(records)).contradicted()]

    def actions(self) -> dict[str, str]:
        """Step -> the name of its action."""
        return {
            path: str(r.facts["action"])
            for path, records in self._steps.items() for r in records if r.kind in ("intent", "decision")
        }  # fmt: skip

    def denials(self) -> dict[str, str]:
        """Step -> the name of the action that was denied there. A precondition is told as its tool."""
        return {
            path: name for path, records in self._steps.items() for r in records
            if r.kind == "decision" and r.facts["outcome"] == "deny"
            and not (name := str(r.facts["action"])).endswith(REQUIRES)
        }  # fmt: skip

    def asked(self) -> bool:
        """Was a person asked about any step?"""
        return any(r.kind == "asked" for records in self._steps.values() for r in records)

    def rejections(self, rejected: set[str]) -> set[str]:
        """What people said no to: the digests of tool and critical arguments behind these pending rows."""
        asked = [r for records in self._steps.values() for r in records if r.kind == "asked" and r.private]
        return {str((r.private or {}).get("critical")) for r in asked if r.facts["pending"] in rejected}

    def open_calls(self, path: str) -> list[Opened]:
        """The intents of tool calls without an outcome, of a step and of everything inside it."""
        inside = [p for p in self._steps if p == path or p.startswith(f"{path}.")]
        found = [Past(records=tuple(self._steps[p])).open_intent() for p in inside]
        return [r for r in found if r is not None and r.facts["action_kind"] == "tool"]

    def open_intents(self) -> list[Opened]:
        """The intents of tool and model calls whose outcome nobody recorded."""
        found: list[Opened] = []
        for records in self._steps.values():
            closed = {r.attempt for r in records if r.kind == "outcome"}
            calls = (r for r in records if r.kind == "intent" and r.facts["action_kind"] in ("tool", "model"))
            found += [r for r in calls if r.attempt not in closed]
        return found

    def open_starts(self) -> dict[str, int]:
        """Step -> attempt of the agents and flows that began and have no outcome."""
        found: dict[str, int] = {}
        for path, records in self._steps.items():
            closed = {r.attempt for r in records if r.kind == "outcome"}
            for r in records:
                if r.kind == "intent" and r.facts["action_kind"] in LASTING and r.attempt not in closed:
                    found[path] = r.attempt
        return found
