"""Hide: no part of a secret is left over, whatever else is one and wherever a text is cut."""

from __future__ import annotations

import itertools

import pytest

from flyball.core.call import Secret
from flyball.runtime.broker.hide import Hidden

SECRETS = (Secret("short", "pass"), Secret("long", "password-123"), Secret("other", "sword-12"))


@pytest.mark.promise("journal-secrets-stay-out")
@pytest.mark.parametrize("learned", list(itertools.permutations(SECRETS)))
def test_a_secret_that_holds_another_is_hidden_whole_whichever_was_handed_out_first(learned: tuple[Secret]) -> None:
    hidden = Hidden()
    for secret in learned:
        hidden.learn(secret)
    assert hidden.data({"a": ["password-123", "pass"]}) == {"a": ["<secret long>", "<secret short>"]}


@pytest.mark.promise("journal-secrets-stay-out")
@pytest.mark.parametrize("place", range(3_980, 4_001, 4))
def test_a_secret_that_stands_where_a_text_is_cut_is_hidden_first(place: int) -> None:
    hidden = Hidden()
    hidden.learn(SECRETS[1])
    told = f"{'x' * place}password-123 and more"
    assert "p" not in hidden.recordable(told) and "p" not in hidden.said(RuntimeError(told)).replace("RuntimeError", "")
    assert len(hidden.recordable(told)) <= 4_000
