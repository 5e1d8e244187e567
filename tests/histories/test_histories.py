"""Golden histories: what earlier versions recorded is verified, decided and folded again by the code of today.

make histories    records the corpus of this version anew; a diff then shows what changed
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flyball import Completed, Principal, Stopped
from flyball.app.flyball import Flyball
from flyball.app.replaying import replay
from flyball.core.errors import FlyballError
from flyball.core.kinds import KINDS
from flyball.core.stop import STOPS
from flyball.runtime.export import Disclosure, write_export
from flyball.verify.directory import verify_directory
from flyball.verify.report import Report
from tests.histories import recorder
from tests.histories.corpora import CORPORA, CURRENT
from tests.histories.evidence import CHOSEN, hand_out
from tests.histories.reading import History, config_of
from tests.histories.v0_1.plays import PLAYS

EVERY = [history for corpus in CORPORA for history in corpus.histories()]
# What no run of this version comes to: reserved for what is built later, or for logs as a whole.
NOT_YET_KINDS = {"checkpointed", "gap", "erasure", "score", "label", "feedback", "signal", "turn"}
NOT_YET_REASONS = {"context_incomplete", "context_stale", "subject_erased", "killed", "outcome_unknown"}
# A history of it would be as large as what it is about.
NOT_KEPT = {"reply_too_large"}
MOST_BYTES, DAY_US = 2_600_000, 86_400_000_000
# People who may sign in every corpus, one after the other.
SIGNERS = [Principal(f"user:{n}", groups=frozenset({"finance", "owner"})) for n in ("fay", "noor", "sam", "zoe")]


def each(histories: Iterable[History]) -> Any:
    return pytest.mark.parametrize("history", histories, ids=lambda h: f"{h.path.parent.parent.name}/{h.name}")


def kept(name: str) -> History:
    return next(history for history in EVERY if history.name == name)


async def verified(history: History, target: Path) -> Report:
    """Its ledger as it would be handed out, every value disclosed, verified offline under the recorded key."""
    rooms, head = await history.rooms(), history.head
    view = rooms.ports.journal.view(head.tenant)
    told = [
        Disclosure(stored.id, name, salt, data) for stored in view.records(limit=recorder.ALL)
        for name, (salt, data) in rooms.record.disclose(head.tenant, stored, view).items()
    ]  # fmt: skip
    write_export(target, lambda: view, tenant=head.tenant, note=head.checkpoint, vkey=head.vkey, disclosures=told)
    return verify_directory(target, vkey=head.vkey)


# every corpus ---------------------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-histories-hold")
@each(EVERY)
async def test_a_kept_ledger_verifies_offline_under_its_recorded_key(history: History, tmp_path: Path) -> None:
    report = await verified(history, tmp_path / "kept")
    assert report.ok, report.summary
    assert report.size == history.head.size == len(history.records)
    assert report.disclosed == sum(len(record.private) for record in history.records)


@pytest.mark.promise("journal-histories-hold")
@each(EVERY)
async def test_every_verdict_is_derived_again_and_every_run_is_folded_again(history: History) -> None:
    with recorder.pinned():
        rooms = await history.rooms()
        for run in history.runs:
            told = await replay(rooms, history.head.tenant, run.id)
            assert told.ok and told.folded, [str(difference) for difference in told.differences]
            assert told.verdicts + told.refused > 0


@pytest.mark.promise("journal-histories-hold")
@each([history for history in EVERY if any(row.state != "ended" for row in history.runs)])
async def test_what_waited_then_goes_on_today(history: History) -> None:
    with recorder.pinned():
        async with Flyball(config_of(), history.project(), await history.ports()) as app:
            passing = asyncio.create_task(time_passes(app))
            for run in history.runs:
                ended = await asyncio.wait_for(went_on(app, run.id), 20)
                assert isinstance(ended, Completed | Stopped) and ended.reason != "replay_diverged", ended
                told = await app.releases.replay(run.id)
                assert told.ok, [str(difference) for difference in told.differences]
            passing.cancel()
            assert (await app.ledger.verify()).ok


async def time_passes(app: Flyball) -> None:
    """For runs that are driven: a retry or the grace of a probe waits for nobody."""
    while True:
        await asyncio.sleep(0.01)
        waits = app.rooms.ports.clock.waits()  # type: ignore[attr-defined]
        inner = [until for task, until in waits.items() if task not in app.rooms.driver.sleeping]
        if inner:
            app.rooms.ports.clock.begin_at(min(inner))


async def went_on(app: Flyball, run: str) -> Any:
    """What becomes of a run when everybody who is asked agrees, and time passes."""
    for _ in range(9):
        told = await app.runs.resume(run)
        if isinstance(told, Completed | Stopped):
            break
        for pending in told.pending:
            await agreed(app, pending)
        app.rooms.ports.clock.begin_at(app.rooms.ports.clock.now() + DAY_US)
    return told


async def agreed(app: Flyball, pending: Any) -> None:
    for who in SIGNERS:
        with suppress(FlyballError):  # it has been decided by now, or counts once for each
            if pending.kind == "approval":
                await app.approvals.approve(pending, by=who)
            elif pending.kind == "question":
                await app.questions.answer(pending, 7, by=who)
            elif pending.kind == "unknown":
                await app.questions.resolve(pending, "executed", by=who, result="seen")


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.version)
def test_a_released_corpus_is_as_it_was_released(corpus: Any) -> None:
    assert corpus.sealed in ("", corpus.digest())


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.version)
def test_a_ledger_that_was_handed_out_verifies_as_it_stands(corpus: Any) -> None:
    vkey = next(history.head.vkey for history in corpus.histories() if history.name == CHOSEN)
    report = verify_directory(corpus.folder / "evidence", vkey=vkey)
    assert report.ok and report.disclosed > 5, report.summary


# the corpus of this version -------------------------------------------------------------------------------------------
@each(CURRENT.histories() if not CURRENT.sealed else [])
async def test_what_is_recorded_now_is_what_was_kept(history: History) -> None:
    made, content = await recorder.record(history.name)
    then = history.path.read_bytes().splitlines()
    differ = [now for now, old in zip(made.splitlines(), then, strict=False) if now != old]
    assert made.splitlines() == then, f"make histories shows what changed, first {differ[1:2]}"
    assert [digest for digest in content if not (history.content / digest).exists()] == []


@pytest.mark.skipif(bool(CURRENT.sealed), reason="it is released")
async def test_a_ledger_is_handed_out_as_it_was(tmp_path: Path) -> None:
    (chosen,) = (history for history in CURRENT.histories() if history.name == CHOSEN)
    await hand_out(chosen, tmp_path / "now")
    assert files(tmp_path / "now") == files(CURRENT.folder / "evidence")


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_history_is_there_and_none_is_without_its_play() -> None:
    assert {history.name for history in CURRENT.histories()} == set(PLAYS)


def test_every_kind_of_record_and_every_stop_reason_occurs() -> None:
    kinds = {leaf["kind"] for history in CURRENT.histories() for leaf in history.leaves()}
    reasons = {run.reason for history in CURRENT.histories() for run in history.runs}
    assert set(KINDS) - kinds == NOT_YET_KINDS
    assert set(STOPS) - reasons == NOT_YET_REASONS | NOT_KEPT


def test_a_corpus_is_small() -> None:
    for corpus in CORPORA:
        assert sum(path.stat().st_size for path in corpus.folder.rglob("*") if path.is_file()) < MOST_BYTES


# these tests see what they are for ------------------------------------------------------------------------------------
def changed(history: History, tmp_path: Path, old: bytes, new: bytes) -> History:
    text = history.path.read_bytes()
    assert old in text
    copy = tmp_path / history.path.name
    copy.write_bytes(text.replace(old, new, 1))
    return replace(history, path=copy)


async def test_a_changed_record_is_not_verified(tmp_path: Path) -> None:
    forged = changed(kept("call"), tmp_path, b'"reason":"completed"', b'"reason":"stopped"')
    assert not (await verified(forged, tmp_path / "kept")).ok


async def test_a_changed_payload_is_not_verified(tmp_path: Path) -> None:
    forged = changed(kept("call"), tmp_path, b'"cents":5', b'"cents":6')
    assert not (await verified(forged, tmp_path / "kept")).ok


FORGED = [
    (b'"args":{"cents":5', b'"args":{"cents":200000', "policies"),
    (b'{"result":"paid 5"}', b'{"result":"paid 6"}', "paid 6"),
    (b'"private":{"args":{"input":5}', b'"private":{"args":{"input":6}', "other arguments"),
]


@pytest.mark.parametrize(("old", "new", "says"), FORGED)
async def test_a_changed_history_does_not_replay(tmp_path: Path, old: bytes, new: bytes, says: str) -> None:
    forged = changed(kept("call"), tmp_path, old, new)
    with recorder.pinned():
        told = await replay(await forged.rooms(), forged.head.tenant, forged.runs[0].id)
    assert not told.ok and says in "; ".join(map(str, told.differences))
