from __future__ import annotations

from pathlib import Path

import pytest

from flyball.adapters.model_http.key import read_key
from flyball.core.errors import FlyballError


def refused(source: str, environ: dict[str, str] | None = None) -> FlyballError:
    with pytest.raises(FlyballError) as caught:
        read_key(source, environ or {})
    return caught.value


def test_a_key_comes_from_the_environment_as_a_handle() -> None:
    secret = read_key("env:K", {"K": " sk-1 \n"})
    assert secret.reveal() == "sk-1" and "sk-1" not in repr(secret) + str(secret)


def test_a_key_comes_from_this_process_environment_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYBALL_TEST_KEY", "sk-2")
    assert read_key("env:FLYBALL_TEST_KEY").reveal() == "sk-2"


def test_a_key_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("sk-3\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_key("file:~/key").reveal() == "sk-3"


@pytest.mark.promise("api-keys-only-as-handles")
@pytest.mark.parametrize("source", ["sk-live-1234", "", "env:", "file:", "ENV:K", "http://x", "env"])
def test_a_key_written_out_is_refused_and_not_quoted(source: str) -> None:
    error = refused(source)
    assert error.code == "literal_key" and "sk-live" not in str(error)


@pytest.mark.parametrize("environ", [{}, {"K": ""}, {"K": " \n"}])
def test_a_missing_key_is_named(environ: dict[str, str]) -> None:
    error = refused("env:K", environ)
    assert error.code == "no_key" and "env:K" in error.what


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refused(f"file:{tmp_path}/none").code == "no_key"
    assert refused(f"file:{tmp_path}").code == "no_key"


@pytest.mark.parametrize("text", ["a b", "a\nb", "ké", "k" * 8193, "a\r\nX-Evil: 1"])
def test_what_cannot_stand_in_a_header_is_refused(text: str) -> None:
    error = refused("env:K", {"K": text})
    assert error.code == "bad_key" and text not in str(error)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\x00" * 20_000)
    assert refused(f"file:{tmp_path}/key").code == "bad_key"
