"""Nothing hides in a text that is shown."""

import pytest

from flyball.core.visible import unhidden


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines", "two\nlines"),
        ("Grüße, 世界", "Grüße, 世界"),
        ("a\u200bb", "a<U+200B>b"),
        ("\u202egnp.exe", "<U+202E>gnp.exe"),
        ("\U000e0041", "<U+E0041>"),
        ("a\tb", "a<U+0009>b"),
        ("\ud800", "<U+D800>"),
    ],
)
def test_what_cannot_be_seen_is_written_as_its_code_point(text: str, shown: str) -> None:
    assert unhidden(text) == shown
