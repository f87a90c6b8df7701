"""A form of another page signs nobody in."""

from __future__ import annotations

import pytest

from app.console.origin import is_foreign


@pytest.mark.parametrize(
    ("site", "origin", "foreign"),
    [
        ("", "", False),
        ("same-origin", "", False),
        ("same-origin", "null", False),
        ("none", "", False),
        ("same-site", "https://other.corp.test", True),
        ("cross-site", "", True),
        ("cross-site", "https://console.corp.test", True),
        ("", "https://console.corp.test", False),
        ("", "http://127.0.0.1:8081", False),
        ("", "http://console.corp.test", True),
        ("", "https://evil.test", True),
        ("", "http://127.0.0.1:9000", True),
        ("", "null", True),
        ("", "evil", True),
    ],
)
def test_where_a_form_comes_from(site, origin, foreign):
    assert is_foreign(site=site, origin=origin, host="127.0.0.1:8081", url="https://console.corp.test") is foreign


@pytest.mark.parametrize(
    ("origin", "host", "url"),
    [
        ("http://console.corp", "127.0.0.1:8081", "http://Console.Corp"),
        ("http://console.corp", "127.0.0.1:8081", "http://console.corp:80"),
        ("https://console.corp", "console.corp:443", "http://127.0.0.1:8081"),
    ],
    ids=["capitals", "the usual port", "the usual port in Host"],
)
def test_two_spellings_of_one_address_are_one(origin, host, url):
    assert not is_foreign(site="", origin=origin, host=host, url=url)
