"""The example of a route: what is hard, what must stay, and what fails."""

from __future__ import annotations

import pytest

from examples.routing import ANN, DOWN, KIM, LONG, asked, choices, desk, helper
from flyball import Principal
from flyball.testing import Say

EASY = "How long is the notice period?"


@pytest.mark.promise("api-routes")
@pytest.mark.parametrize(
    ("question", "by", "went"),
    [(EASY, KIM, "small"), (LONG, KIM, "large"), (LONG, ANN, "small, without {'large': 'policy'}")],
    ids=["easy", "hard", "hard, in Europe"],
)  # fmt: skip
async def test_a_question_goes_where_its_route_and_policy_let_it(question: str, by: Principal, went: str) -> None:
    assert await asked(question, Say("Yes."), by=by) == went


async def test_what_fails_is_followed_by_its_fallback_and_the_record_verifies_and_replays() -> None:
    lab = desk(DOWN, Say("A month."))
    await lab.run(helper, EASY, key="k")
    assert [(c["chosen"], c.get("tried", [])) for c in choices(lab)] == [("small", []), ("spare", ["small"])]
    assert (await lab.verify()).ok and (await lab.replay(lab.history("k"))).ok
