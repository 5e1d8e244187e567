"""The policy cases of a project are tests of pytest's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from flyball import FlyballError
from flyball.testing import policy_cases

REFUNDS = Path(__file__).parents[2] / "examples" / "refunds"


@pytest.mark.promise("api-policy-cases")
def test_every_case_of_a_project_is_one_test() -> None:
    cases = policy_cases(REFUNDS / "flyball.toml")
    assert "over fifty asks finance" in [str(case) for case in cases] and len(cases) > 3
    for case in cases:
        case.check()


def test_a_case_that_does_not_hold_fails_its_test() -> None:
    case = policy_cases(REFUNDS / "flyball.toml")[0]
    wrong = replace(case, case=structs.replace(case.case, expect="deny"))
    with pytest.raises(AssertionError, match="expected deny, got allow"):
        wrong.check()


def test_a_project_that_there_is_none_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FlyballError):
        policy_cases(tmp_path / "flyball.toml")
