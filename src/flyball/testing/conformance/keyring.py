"""What every adapter of `ports.keyring` does. Run each check of `CHECKS` on a function that opens your keyring:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_it_is_a_keyring(check, tmp_path):
        check(lambda: open_it(tmp_path))

Each call of the function opens the same keys again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeAlias

from flyball.ports.keyring import Keyring
from flyball.testing.conformance.refusal import refusal

Opens: TypeAlias = Callable[[], Keyring]

KIM: Final = "0f" * 16
LEE: Final = "a5" * 16


def keys_have_32_bytes(opens: Opens) -> None:
    """A subject's key and the tenant's key for pseudonyms."""
    ring = opens()
    assert len(ring.subject("acme", KIM)) == len(ring.pseudonym("acme")) == 32
    ring.close()


def a_key_stays_the_same(opens: Opens) -> None:
    """Within one opening and in the next."""
    first = opens()
    kept = (first.subject("acme", KIM), first.pseudonym("acme"))
    assert (first.subject("acme", KIM), first.pseudonym("acme")) == kept
    first.close()
    second = opens()
    assert (second.subject("acme", KIM), second.pseudonym("acme")) == kept
    second.close()


def every_key_is_another(opens: Opens) -> None:
    """By subject, by tenant, by use."""
    ring = opens()
    keys = {ring.subject(tenant, who) for tenant in ("acme", "other") for who in (KIM, LEE)}
    keys |= {ring.pseudonym("acme"), ring.pseudonym("other")}
    assert len(keys) == 6
    ring.close()


def names_are_refused(opens: Opens) -> None:
    """A keyring keeps pseudonyms; a name passed by mistake does not stay in it."""
    ring = opens()
    for name in ("user:kim", "", KIM.upper(), KIM + "0"):
        assert refusal(partial(ring.subject, "acme", name)) == "bad_subject"
    ring.close()


def threads_see_one_key(opens: Opens) -> None:
    """Many at once ask for a key that is not there yet."""
    ring = opens()
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: ring.subject("acme", LEE), range(32)))
    assert len(keys) == 1
    ring.close()


CHECKS: Final[tuple[Callable[[Opens], None], ...]] = (
    keys_have_32_bytes,
    a_key_stays_the_same,
    every_key_is_another,
    names_are_refused,
    threads_see_one_key,
)
