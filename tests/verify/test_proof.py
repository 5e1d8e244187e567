from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.adapters.signer_memory import MemorySigner
from flyball.core.errors import FlyballError
from flyball.runtime.export import prove
from flyball.verify.proof import verify_proof
from flyball.verify.report import Report
from tests.verify.ledger import ORIGIN, Ledger, story

LOG = story()
VKEY = LOG.signer.verifier_key()
PROOF = prove(cast("Any", LOG), 9, LOG.sign())


def failed(report: Report) -> set[str]:
    return {check.name for check in report.checks if not check.ok}


def test_the_proof_of_a_record_stands_alone() -> None:
    report = verify_proof(PROOF, None, VKEY, origin=ORIGIN)
    assert report.ok, report.summary
    assert (report.origin, report.size) == (ORIGIN, 15)
    assert "r-1/2/1/intent" in report.summary


@pytest.mark.parametrize("index", range(15))
def test_every_record_has_a_proof_under_every_later_checkpoint(index: int) -> None:
    for size in (index + 1, 15):
        assert verify_proof(prove(cast("Any", LOG), index, LOG.sign(size)), LOG.leaves[index], VKEY).ok


def test_another_leaf_is_not_the_one_that_was_proved() -> None:
    assert failed(verify_proof(PROOF, LOG.leaves[8], VKEY)) == {"inclusion"}


def test_a_leaf_swapped_in_the_file_is_caught() -> None:
    other = prove(cast("Any", LOG), 8, LOG.sign()).split("\n")[1]
    lines = PROOF.split("\n")
    assert failed(verify_proof("\n".join([lines[0], other, *lines[2:]]), None, VKEY)) == {"inclusion"}


def test_a_proof_without_its_leaf_needs_it_passed() -> None:
    lines = PROOF.split("\n")
    bare = "\n".join([lines[0], *lines[2:]])
    assert failed(verify_proof(bare, None, VKEY)) == {"record"}
    assert verify_proof(bare, LOG.leaves[9], VKEY).ok


def test_a_proof_by_another_key_or_of_another_log_is_refused() -> None:
    assert failed(verify_proof(PROOF, None, MemorySigner("desk", b"o" * 32).verifier_key())) == {"checkpoint"}
    assert failed(verify_proof(PROOF, None, VKEY, origin="desk/t/other")) == {"checkpoint"}


def test_a_leaf_that_is_none_is_a_finding() -> None:
    log = Ledger(leaves=[b"junk"])
    assert failed(verify_proof(prove(cast("Any", log), 0, log.sign()), None, VKEY)) == {"record"}


def test_what_is_no_proof_is_a_finding_and_no_key_an_error() -> None:
    assert failed(verify_proof("junk", None, VKEY)) == {"proof"}
    with pytest.raises(FlyballError):
        verify_proof(PROOF, None, "junk")


@given(st.integers(0, len(PROOF) - 1), st.characters())
def test_no_changed_character_passes(at: int, char: str) -> None:
    if PROOF[at] != char:
        assert not verify_proof(PROOF[:at] + char + PROOF[at + 1 :], None, VKEY).ok
