"""Episodes: what a run did, in words made from its outcomes."""

from __future__ import annotations

from flyball.core.episode import MOST_TEXT, MOST_VALUE, Did, episode


def test_an_episode_says_what_became_of_each_action() -> None:
    did = [
        Did(action="look", status="executed"), Did(action="pay", status="approved", arguments={"cents": 5, "to": "b"}),
        Did(action="look", status="executed"), Did(action="send", status="failed"),
        Did(action="pay", status="denied"), Did(action="call", status="unknown"),
    ]  # fmt: skip
    assert episode("flow", "handle", "2026-01-02", did) == (
        "On 2026-01-02 the flow handle completed. Done: look 2 times. Approved by people: pay (cents=5, to=b). "
        "Failed: send. Refused: pay. Unknown: call."
    )


def test_a_run_that_did_nothing_still_has_an_episode() -> None:
    assert episode("agent", "clerk", "2026-01-02", []) == "On 2026-01-02 the agent clerk completed."


def test_an_episode_and_each_value_in_it_are_short() -> None:
    long = Did(action="note", status="executed", arguments={"text": "x" * 500})
    assert len(episode("flow", "f", "d", [long])) < MOST_VALUE + 80
    many = [Did(action=f"tool{n}", status="executed") for n in range(900)]
    assert len(episode("flow", "f", "d", many)) == MOST_TEXT
