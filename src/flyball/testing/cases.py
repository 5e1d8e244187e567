"""Policy cases as tests: each `[[case]]` of the `*.test.toml` files beside a project's policies, under pytest.

    @pytest.mark.parametrize("case", policy_cases(HERE / "flyball.toml"), ids=str)
    def test_policy(case: PolicyCase) -> None:
        case.check()

They are read and decided as `flyball policy test` does it: see `flyball.app.cases`.
"""

from __future__ import annotations

from flyball.app.cases import PolicyCase, policy_cases

__all__ = ["PolicyCase", "policy_cases"]
