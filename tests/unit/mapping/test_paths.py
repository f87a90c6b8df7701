"""The notation of sources: what it reads as, what is refused, and that it is written as it is read."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.paths import read_path, spell, spell_target, why_not

GOOD = [
    ("a", ("a",)),
    ("person.name.firstName", ("person", "name", "firstName")),
    ("_tenant.loyalty-level", ("_tenant", "loyalty-level")),
    ("xdm:person.xdm:name", ("xdm:person", "xdm:name")),
    ("emails[0].address", ("emails", 0, "address")),
    ("grid[1][20]", ("grid", 1, 20)),
    ("props['a.b c']", ("props", "a.b c")),
    ("""props["it's"].x[0]""", ("props", "it's", "x", 0)),
    ("['a b'].c", ("a b", "c")),
    ("ärzte.größe", ("ärzte", "größe")),
    ("segmentMembership.ups.seg-1.status", ("segmentMembership", "ups", "seg-1", "status")),
]


@pytest.mark.parametrize(("text", "path"), GOOD)
def test_what_is_a_path(text: str, path: tuple[str | int, ...]) -> None:
    assert why_not(text) == ""
    assert read_path(text) == path
    assert read_path(spell(path)) == path


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lower(person.name)", "function"),
        ("a + b", "function"),
        ("a || b", "function"),
        ("${a}", "function"),
        ("{{profile.a}}", "function"),
        ("a > 1", "function"),
        ("emails[*].address", "never match"),
        ("emails[]", "never match"),
        ("emails[-1]", "never match"),
        ("emails[first]", "never match"),
        ("emails[[0]]", "never match"),
        ("emails[a[0]", "never match"),
        ("emails[0:2]", "never match"),
        ("a.*", "never match"),
        ("a..b", "never match"),
        ("identityMap.ecid[0].id", "IdentityMap: NAMESPACE"),
        ("xdm:identityMap", "IdentityMap: NAMESPACE"),
        ("segmentMembership.ups.seg-1", "segments"),
        ("$.person.name", "begins with $"),
        ("/person/name", "slashes"),
        ("", "no path"),
        (".a", "no path"),
        ("a.", "no path"),
        ("[0].a", "no path"),
        ("a[0]b", "no path"),
        ("a['']", "no path"),
        ("a['b", "no path"),
        ("a]", "no path"),
        ("a[1234567]", "no path"),
        ("first name", "unusual characters"),
        ("it's", "unusual characters"),
    ],
)
def test_what_is_refused_with_a_reason(text: str, why: str) -> None:
    assert why in why_not(text)


@given(st.text(max_size=12))
def test_whatever_is_not_refused_can_be_read_and_written(text: str) -> None:
    if why_not(text) == "":
        assert read_path(spell(read_path(text))) == read_path(text)


@pytest.mark.parametrize("text", ["a", "a(b)", "a b.c", "a'b", "a:b./c"])
def test_every_path_of_names_that_was_ever_taken_is_read_as_before(text: str) -> None:
    assert read_path(text) == tuple(text.split("."))


def test_attributes_with_spaces_at_their_ends_stand_in_quotes() -> None:
    assert spell_target("Set", "First Name") == "Attribute: Set.First Name"
    assert spell_target("Set", " First ") == "Attribute: Set[' First ']"
    assert spell_target("Set", "It's ") == """Attribute: Set["It's "]"""


@pytest.mark.parametrize("text", ["a" + "[ " * 20_000, "[" * 20_000, "a" + "['" * 20_000, "a" + "[0" * 20_000])
def test_brackets_without_end_are_told_at_once(text: str) -> None:
    assert why_not(text)


def test_a_wildcard_is_whatever_stands_in_brackets_and_is_no_position() -> None:
    for text in ("".join(signs) for length in range(6) for signs in product("[]0a' ", repeat=length)):
        plain = re.sub(r"\['[^']+'\]", "['']", text)
        within = (found[1] for found in re.finditer(r"(?=\[([^'\]]*)\])", plain))
        expected = any(not re.fullmatch("[0-9]+", inner) for inner in within)
        assert ("can never match: positions are numbers" in why_not(text)) is expected, text
