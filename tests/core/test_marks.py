from __future__ import annotations

from typing import Annotated, get_args

import pytest

from flyball.core.marks import Critical, Mark, Outgoing, Personal, Ref, Trusted


@pytest.mark.parametrize(
    ("hint", "name"),
    [(Critical[str], "critical"), (Outgoing[str], "outgoing"), (Trusted[str], "trusted"), (Personal[str], "personal")],
)
def test_a_mark_leaves_the_type_as_it_is_and_says_its_name(hint: object, name: str) -> None:
    assert get_args(hint) == (str, Mark(name))  # type: ignore[arg-type]


def test_marks_can_stand_together() -> None:
    assert get_args(Critical[Annotated[str, Ref("Customer")]]) == (str, Ref("Customer"), Mark("critical"))
