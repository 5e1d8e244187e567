from __future__ import annotations

import pytest

from flyball.core.recipients import addresses, domains, host


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ada@ACME.example", {"ada@acme.example"}),
        ("a@x.example, b@y.example; c@z.example", {"a@x.example", "b@y.example", "c@z.example"}),
        ('"Lovelace, Ada" <ada@acme.example>', {"ada@acme.example"}),
        ("Ada <ada@acme.example>,", {"ada@acme.example"}),
        ("ada@bücher.example", {"ada@xn--bcher-kva.example"}),
        ("ada@acme.example.", {"ada@acme.example"}),
    ],
)
def test_an_address_list_is_read(text: str, found: set[str]) -> None:
    assert addresses(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "ada",
        "a@b@c.example",
        "a@x.example b@y.example",
        "<a@x.example> b@y.example",
        "a@x.example\nb@y.example",
        'a"b@x.example',
        '"a b"@x.example',
        "a@[10.0.0.1]",
        "group: a@x.example;",
        "a(comment)@x.example",
        "a@-x.example",
        "a@x..example",
        "a@" + "x" * 70 + ".example",
        "a@x.example, nobody",
        "a@\u202ex.example",
    ],
)
def test_what_can_be_read_in_two_ways_is_no_address_list(text: str) -> None:
    assert addresses(text) is None


def test_domains_are_those_of_the_addresses() -> None:
    assert domains(frozenset({"a@x.example", "b@x.example", "c@y.example"})) == {"x.example", "y.example"}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://ACME.example:8443/x?y#z", "acme.example"),
        ("https://bücher.example", "xn--bcher-kva.example"),
        ("http://[::1]:80/", "::1"),
        ("http://10.0.0.1/", "10.0.0.1"),
    ],
)
def test_a_url_points_to_one_host(url: str, name: str) -> None:
    assert host(url) == name


@pytest.mark.promise("gate-derived-recipients")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme.example",
        "//acme.example",
        "https://",
        "https://a@b.example",
        "https://acme.example\\@evil.example",
        "https://acme example/",
        "https://acme.example/\n",
        "http://[::1",
        "http://[v1.x]/",
        "https://a..b/",
    ],
)
def test_a_url_that_readers_could_disagree_about_points_nowhere(url: str) -> None:
    assert host(url) is None
