from __future__ import annotations

import pytest

from flyball.adapters.keyring_memory import MemoryKeyring
from flyball.testing.conformance.keyring import CHECKS, KIM, Opens


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_is_a_keyring(check: object) -> None:
    ring = MemoryKeyring()
    opens: Opens = lambda: ring  # noqa: E731
    assert callable(check)
    check(opens)


@pytest.mark.promise("journal-erased-is-said")
def test_an_erased_subject_has_no_key_ever_again() -> None:
    ring = MemoryKeyring()
    ring.subject("acme", KIM)
    ring.erase("acme", KIM)
    for _ in range(2):
        with pytest.raises(LookupError):
            ring.subject("acme", KIM)
    assert ring.subject("other", KIM)
