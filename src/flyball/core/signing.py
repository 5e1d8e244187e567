"""Whether a log goes on from where it was last signed: the decision of a signer that keeps its own state.

Rules:

* A signer knows a log by its random id, the origin it signed for, and the frontier it last signed.
* An origin belongs to the log that was first signed under it, for as long as there is the key: ``other_log``. So a
  database that was deleted and begun anew is never signed beside the old history. Whoever wants to begin anew takes
  another key, which everybody can see.
* A log shorter than that was cut or restored from a copy: ``signer_ahead``. One whose later leaves do not lead from the
  old frontier to the one to be signed was rewritten: ``history_changed``. Neither is ever signed.
* The leaves are read in portions of `PORTION`, so that a long log needs no more memory than a short one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.merkle import HASH_BYTES, Frontier, NodeGetter, frontier_at, grown
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
        raise _ahead(last.frontier, frontier, "the log is not signed")
    if _extended(last.frontier, frontier.size, leaves) != frontier:
        raise _changed(last.frontier, "the log is not signed")
    checkpoint = Checkpoint(origin=origin, size=frontier.size, root=frontier.root())
    return Signed(origin=origin, frontier=frontier), checkpoint


def by_origin(logs: Mapping[str, str]) -> Mapping[str, str]:
    """Which log each origin belongs to, from the origin of each log in the order in which they were first signed."""
    return {origin: log for log, origin in reversed(list(logs.items()))}


def check_log(log: str, origin: str, signed: str) -> None:
    """Refuses (`FlyballError` ``other_log``) a log under an origin that the log ``signed`` was signed for."""
    if signed in ("", log):
        return
    why = f"{origin!r} was signed for the log {signed}, this is {log or 'a new one'}"
    fix = "Restore the journal that was signed; to begin anew, give the project another [signer] file: a new key"
    raise FlyballError("other_log", "the log is not signed", why, fix, {"signed": signed, "found": log})


def check_standing(last: Frontier, frontier: Frontier, node: NodeGetter) -> None:
    """Whether a stored tree can be the one that was last signed, as far as its nodes tell: asked when it is opened.

    ``node`` raises KeyError for one that is not there. Raises `FlyballError` ``signer_ahead`` or ``history_changed``.
    Leaves are not hashed again: that is for whoever verifies the whole log.
    """
    if last.size > frontier.size:
        raise _ahead(last, frontier, "the log is not opened")
    try:
        same = frontier_at(frontier.size, node) == frontier and frontier_at(last.size, node) == last
    except KeyError:
        same = False
    if not same:
        raise _changed(last, "the log is not opened")


def _ahead(last: Frontier, frontier: Frontier, what: str) -> FlyballError:
    facts = {"signed": last.size, "found": frontier.size}
    why = f"{last.size} records were signed, {frontier.size} are there"
    fix = "The journal was cut or restored from a copy: restore the newest one"
    return FlyballError("signer_ahead", what, why, fix, facts)


def _changed(last: Frontier, what: str) -> FlyballError:
    why = f"it does not go on from the {last.size} records that were signed"
    fix = "Records or their tree were changed after they were signed: restore the journal"
    return FlyballError("history_changed", what, why, fix, {"signed": last.size})


def _extended(own: Frontier, size: int, leaves: Callable[[int, int], Sequence[bytes]]) -> Frontier | None:
    while own.size < size:
        end = min(own.size + PORTION, size)
        shown = leaves(own.size, end)
        if len(shown) != end - own.size or any(len(leaf) != HASH_BYTES for leaf in shown):
            return None
        own, _ = grown(own, shown)
    return own
