"""A file is a value: what it may be called, and where it stands in plain data."""

from dataclasses import dataclass

import pytest

from flyball.core.artifact import Artifact, check_named, held, without
from flyball.core.call import Call
from flyball.core.errors import FlyballError
from flyball.core.signature import signature_of, to_json

FILE = Artifact(digest="ab", name="a.pdf", media_type="application/pdf", size=3)


@dataclass
class Letter:
    text: str
    enclosed: list[Artifact]


def post(call: Call, letter: Letter, cover: Artifact | None = None) -> str:
    return ""


def test_a_file_says_what_kind_it_is() -> None:
    assert (FILE.kind, FILE.sensitivity, FILE.origin) == ("application", "internal", "request")


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", " a", "a\n", "a\u202efdp.exe", "x" * 256])
def test_a_name_that_could_mislead_is_refused(name: str) -> None:
    with pytest.raises(FlyballError) as refused:
        check_named(name, "text/plain")
    assert refused.value.code == "bad_artifact"


@pytest.mark.parametrize("media_type", ["", "pdf", "text/", "Text/Plain", "text/plain; charset=utf-8", "text/plain\n"])
def test_what_is_no_media_type_is_refused(media_type: str) -> None:
    with pytest.raises(FlyballError):
        check_named("a", media_type)
    check_named("Angebot 7 (neu).pdf", "application/vnd.ms-excel")


def test_a_signature_says_where_its_files_stand() -> None:
    pointers = signature_of(post).artifacts
    assert pointers == {"/letter/enclosed/*/digest", "/cover/digest"}
    data = {"letter": to_json(Letter("t", [FILE, FILE])), "cover": None}
    found = [value for pointer in sorted(pointers) for value in held(data, pointer)]
    assert found == [to_json(FILE)] * 2


def test_a_file_gives_way_to_its_digest_and_nothing_else_does() -> None:
    data = {"letter": to_json(Letter("t", [FILE])), "cover": None, "other": {"digest": "x"}}
    assert without(data, "/letter/enclosed/*/digest") == {**data, "letter": {"text": "t", "enclosed": ["ab"]}}
    assert without(data, "/cover/digest") == without(data, "/none/digest") == data
    assert list(held({"letter": 1}, "/letter/enclosed/*/digest")) == []
