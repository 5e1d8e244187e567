from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core import proof as module
from flyball.core.errors import FlyballError
from flyball.core.proof import HEADER, MAX_HASHES, Proof, format_proof, parse_proof

NOTE = "example.com/log\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— example.com/log AAAAAAA=\n"
proofs = st.builds(
    Proof,
    index=st.integers(0, 2**62),
    hashes=st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_HASHES).map(tuple),
    checkpoint=st.text() | st.just(NOTE),
    extra=st.none() | st.binary(max_size=300),
)


@given(proofs)
def test_what_is_written_is_read_back(proof: Proof) -> None:
    assert parse_proof(format_proof(proof)) == proof


def test_the_text_is_laid_out_as_the_specification_says() -> None:
    written = format_proof(Proof(index=73894, hashes=(bytes(32), b"\x01" * 32), checkpoint=NOTE, extra=b"leaf"))
    one, two = base64.b64encode(bytes(32)).decode(), base64.b64encode(b"\x01" * 32).decode()
    assert written == f"c2sp.org/tlog-proof@v1\nextra bGVhZg==\nindex 73894\n{one}\n{two}\n\n{NOTE}"


@pytest.mark.parametrize(
    "text",
    [
        "", HEADER, f"{HEADER}\n", f"{HEADER}\nindex 1\n", f"{HEADER}\n\n{NOTE}", f"{HEADER}\nindex 01\n\n{NOTE}",
        f"{HEADER}\nindex -1\n\n{NOTE}", f"{HEADER}\nindex 1\nindex 2\n\n{NOTE}", f"{HEADER}\nindex 1\nAAAA\n\n{NOTE}",
        f"{HEADER}\nextra !\nindex 1\n\n{NOTE}", f"{HEADER}\nextra YR==\nindex 1\n\n{NOTE}",
        f"c2sp.org/tlog-proof@v2\nindex 1\n\n{NOTE}", f"{HEADER}\nindex 1\nextra YQ==\n\n{NOTE}",
        f"{HEADER}\nindex 1\n" + "A" * 43 + "=\n" * 64 + f"\n{NOTE}", f"{HEADER}\nindex {'9' * 30}\n\n{NOTE}",
    ],
)  # fmt: skip
def test_every_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(FlyballError) as refused:
        parse_proof(text)
    assert refused.value.code == "bad_proof"


def test_too_many_hashes_are_refused() -> None:
    with pytest.raises(FlyballError, match="no list of hashes"):
        format_proof(Proof(index=0, hashes=(bytes(32),) * (MAX_HASHES + 1), checkpoint=NOTE))


def test_a_huge_text_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PROOF_BYTES", 10)
    with pytest.raises(FlyballError, match="more than 10"):
        parse_proof("x" * 11)


def test_what_does_not_read_back_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "parse_proof", lambda text: None)
    with pytest.raises(FlyballError, match="no such form"):
        format_proof(Proof(index=0, hashes=(), checkpoint=NOTE))


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(FlyballError):
        parse_proof(text)
