"""Policy cases: `*.test.toml` beside the policies, each a decision with the verdict that is expected of it.

    @pytest.mark.parametrize("case", policy_cases(HERE / "policies"), ids=str)
    def test_policy(case: PolicyCase) -> None:
        case.check(Lab(policies=HERE / "policies", project=[refunds]))
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.testing.decide import Question, Verdict, at_once
from flyball.testing.lab import Lab


class RunSoFar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the run did and was denied before, and whether it read something untrusted."""

    did: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    tainted: bool = False


class PolicyCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case: who proposes what, through which agents, and the verdict. `resource` are the attributes of the object
    that an argument names; without them its loader is asked."""

    name: str
    tool: str
    by: Principal
    expect: str
    input: Mapping[str, Any] = {}
    origin: Mapping[str, str] = {}
    through: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    resource: Mapping[str, Any] | None = None
    run: RunSoFar = RunSoFar()
    groups: tuple[str, ...] | None = None
    because: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return self.name

    def check(self, lab: Lab) -> Verdict:
        """The verdict; raises AssertionError where it is another one than expected."""
        verdict = at_once(lab.consider(Question(
            tool=self.tool, arguments=self.input, by=self.by, origins=self.origin, through=self.through,
            approvals=self.approvals, entity=self.resource, did=frozenset(self.run.did),
            denied=frozenset(self.run.denied), tainted=self.run.tainted,
        )))  # fmt: skip
        said = [
            f"{name}: {got}, expected {wanted}"
            for name, got, wanted in (
                ("verdict", verdict.outcome, self.expect),
                ("groups", sorted(verdict.groups), None if self.groups is None else sorted(self.groups)),
                ("because", sorted(verdict.because), None if self.because is None else sorted(self.because)),
            )
            if wanted is not None and got != wanted
        ]
        assert not said, f"{self.name}: {'; '.join(said)} ({verdict})"
        return verdict


def policy_cases(path: Path | str) -> list[PolicyCase]:
    """The cases of a `*.test.toml`, or of all in a directory; raises FlyballError `bad_case` naming the file."""
    place = Path(path)
    files = sorted(place.glob("*.test.toml")) if place.is_dir() else [place]
    return [case for file in files for case in _read(file)]


def _read(file: Path) -> list[PolicyCase]:
    try:
        found = tomllib.loads(file.read_text("utf-8"))
        if found.keys() - {"case"}:
            raise ValueError(f"there is only [[case]], not {', '.join(sorted(found.keys() - {'case'}))}")
        return msgspec.convert(found.get("case", []), list[PolicyCase])
    except (OSError, ValueError, tomllib.TOMLDecodeError, msgspec.ValidationError) as bad:
        raise FlyballError("bad_case", f"{file} cannot be read", str(bad), "see the policies' own cases") from bad
