from __future__ import annotations

from collections.abc import Callable

import pytest

from flyball.adapters.signer_memory import MemorySigner
from flyball.core.errors import FlyballError
from flyball.testing.conformance.signer import CHECKS, Opens


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_is_a_signer(check: Callable[[Opens], None]) -> None:
    signer = MemorySigner("conformance")
    check(lambda: signer)


def test_a_given_seed_gives_the_same_key() -> None:
    assert MemorySigner("desk", bytes(32)).verifier_key() == MemorySigner("desk", bytes(32)).verifier_key()


@pytest.mark.parametrize(("name", "seed"), [("two words", bytes(32)), ("desk", b"short")])
def test_what_cannot_be_a_key_is_refused(name: str, seed: bytes) -> None:
    with pytest.raises(FlyballError) as refused:
        MemorySigner(name, seed)
    assert refused.value.code == "bad_key"
