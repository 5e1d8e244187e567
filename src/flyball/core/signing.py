"""Whether a log goes on from where it was last signed: the decision of a signer that keeps its own state.

Rules:

* A signer knows a log by its random id, the origin it signed for, and the frontier it last signed.
* A log shorter than that was cut or restored from a copy: ``signer_ahead``. One whose later leaves do not lead from the
  old frontier to the one to be signed was rewritten: ``history_changed``. Neither is ever signed.
* The leaves are read in portions of `PORTION`, so that a long log needs no more memory than a short one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.merkle import HASH_BYTES, Frontier
from flyball.core.note import Checkpoint

PORTION: Final = 4096


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What was last signed of one log: for which origin, and its frontier."""

    origin: str = ""
    frontier: Frontier = Frontier()


def continued(
    last: Signed, origin: str, frontier: Frontier, leaves: Callable[[int, int], Sequence[bytes]]
) -> tuple[Signed, Checkpoint]:
    """What is signed next and the checkpoint of it, once the log was found to go on from ``last``.

    ``leaves(start, end)`` gives the leaf hashes of the log from index start up to, not including, end. Raises
    `FlyballError` ``signer_ahead``, ``history_changed``, or ``wrong_origin`` when it was signed for another origin.
    """
    if last.origin not in ("", origin):
        why = f"it was signed as {last.origin!r}, not {origin!r}"
        raise FlyballError("wrong_origin", "the log is not signed", why, "Open a new epoch under the new name")
    if frontier.size < last.frontier.size:
        facts = {"signed": last.frontier.size, "found": frontier.size}
        why = f"{last.frontier.size} records were signed, {frontier.size} are there"
        fix = "The journal was cut or restored from a copy: restore the newest one, or open a new epoch"
        raise FlyballError("signer_ahead", "the log is not signed", why, fix, facts)
    if _extended(last.frontier, frontier.size, leaves) != frontier:
        why = f"it does not go on from the {last.frontier.size} records that were signed"
        fix = "Records were changed after they were signed: restore the journal, or open a new epoch"
        raise FlyballError("history_changed", "the log is not signed", why, fix, {"signed": last.frontier.size})
    checkpoint = Checkpoint(origin=origin, size=frontier.size, root=frontier.root())
    return Signed(origin=origin, frontier=frontier), checkpoint


def _extended(own: Frontier, size: int, leaves: Callable[[int, int], Sequence[bytes]]) -> Frontier | None:
    while own.size < size:
        end = min(own.size + PORTION, size)
        shown = leaves(own.size, end)
        if len(shown) != end - own.size or any(len(leaf) != HASH_BYTES for leaf in shown):
            return None
        for leaf in shown:
            own = own.append(leaf)
    return own
