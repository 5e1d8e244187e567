"""What every adapter of `ports.signer` does. Run each check of `CHECKS` on a function that opens your signer:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_it_is_a_signer(check, tmp_path):
        check(lambda: open_it(tmp_path))

Each call of the function opens the same signer again, with what it last signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from flyball.core.merkle import Frontier, leaf_hash
from flyball.core.note import open_checkpoint, parse_vkey
from flyball.ports.signer import Signer
from flyball.testing.conformance.refusal import refusal

Opens: TypeAlias = Callable[[], Signer]

LOG: Final = "5ca1ab1e" * 4
ORIGIN: Final = "conformance/t/acme"
LEAVES: Final = tuple(leaf_hash(index.to_bytes(2, "big")) for index in range(40))


def grown(size: int, leaves: Sequence[bytes] = LEAVES) -> Frontier:
    """The frontier of the first ``size`` leaves."""
    frontier = Frontier()
    for leaf in leaves[:size]:
        frontier = frontier.append(leaf)
    return frontier


def sign(signer: Signer, size: int, leaves: Sequence[bytes] = LEAVES, origin: str = ORIGIN, log: str = LOG) -> str:
    """The note for the first ``size`` leaves."""
    return signer.sign(log, origin, grown(size, leaves), lambda start, end: leaves[start:end])


def the_note_verifies_under_its_key(opens: Opens) -> None:
    """Origin, size and root are what was asked for."""
    signer = opens()
    head = open_checkpoint(sign(signer, 7), [parse_vkey(signer.verifier_key())], origin=ORIGIN)
    assert (head.size, head.root) == (7, grown(7).root())


def it_remembers_what_it_signed(opens: Opens) -> None:
    """In one opening and in the next; a log it never signed is empty."""
    signer = opens()
    assert signer.last("another") == signer.last(LOG) == Frontier()
    sign(signer, 5)
    assert signer.last(LOG) == opens().last(LOG) == grown(5)
    assert opens().verifier_key() == signer.verifier_key()


def it_signs_a_log_that_goes_on(opens: Opens) -> None:
    """Also where nothing was added, and in another opening."""
    for size in (3, 3, 4, 17):
        sign(opens(), size)
    assert opens().last(LOG) == grown(17)


def it_refuses_a_shorter_log(opens: Opens) -> None:
    """A database that was cut or restored is never signed, and what was signed stays."""
    sign(opens(), 9)
    assert refusal(lambda: sign(opens(), 8)) == "signer_ahead"
    assert opens().last(LOG) == grown(9)


def it_refuses_a_changed_history(opens: Opens) -> None:
    """An old leaf changed, or the leaves shown do not lead to the frontier."""
    signer, forged = opens(), [leaf_hash(b"forged"), *LEAVES[1:]]
    sign(signer, 9)
    assert refusal(lambda: sign(signer, 12, forged)) == "history_changed"
    assert refusal(lambda: sign(signer, 9, forged)) == "history_changed"
    short: Callable[[int, int], Sequence[bytes]] = lambda start, end: LEAVES[start : end - 1]  # noqa: E731
    assert refusal(lambda: signer.sign(LOG, ORIGIN, grown(12), short)) == "history_changed"
    assert signer.last(LOG) == grown(9)


def logs_do_not_touch_each_other(opens: Opens) -> None:
    """Each log has its own state; a log keeps its origin."""
    signer = opens()
    sign(signer, 9)
    sign(signer, 2, log="other", origin="conformance/t/other")
    assert (signer.last(LOG).size, signer.last("other").size) == (9, 2)
    assert refusal(lambda: sign(signer, 9, origin="conformance/t/new")) == "wrong_origin"


def an_origin_has_one_log(opens: Opens) -> None:
    """A database that was deleted and begun anew is never signed under the old name, whatever its size."""
    sign(opens(), 9)
    for size in (1, 9, 20):
        assert refusal(lambda n=size: sign(opens(), n, log="another")) == "other_log"  # type: ignore[misc]
    assert opens().logs() == {ORIGIN: LOG}
    sign(opens(), 12)
    assert opens().last("another") == Frontier()


def many_at_once_leave_one_history(opens: Opens) -> None:
    """Threads that sign growing heads: each is signed or refused as too old, the state is the longest."""
    signers = [opens() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda n: refusal(lambda: sign(signers[n % 4], n)), range(1, 33)))
    assert set(codes) <= {"", "signer_ahead"}
    assert opens().last(LOG) == grown(32)


CHECKS: Final[tuple[Callable[[Opens], None], ...]] = (
    the_note_verifies_under_its_key,
    it_remembers_what_it_signed,
    it_signs_a_log_that_goes_on,
    it_refuses_a_shorter_log,
    it_refuses_a_changed_history,
    logs_do_not_touch_each_other,
    an_origin_has_one_log,
    many_at_once_leave_one_history,
)
