from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.catalog import Attribute, parse_definitions
from app.mapping.values import BadValue, checker

TEXT = parse_definitions(
    [
        {
            "key": "EmailDemographics",
            "name": {"value": "Email Demographics"},
            "attributes": [{"key": "M", "name": {"value": "Market"}, "dataType": "Text", "length": 5}],
        }
    ],
    fetched_at_ms=0,
).attributes["Email Demographics.Market"]


def check(attribute: Attribute, value: Any, *, date_format: str = "%Y-%m-%d", documented: bool = False) -> Any:
    return checker(attribute, date_format=date_format, documented_characters=documented)(value)


def of_type(data_type: str, **more: Any) -> Attribute:
    return replace(TEXT, data_type=data_type, length=None, **more)


@pytest.mark.parametrize(
    ("data_type", "value", "written"),
    [
        ("Text", "a", "a"),
        ("Text", 1, "1"),
        ("Text", 1.5, "1.5"),
        ("Text", False, "false"),
        ("Text", True, "true"),
        ("Text", -(2.0**53 - 1), "-9007199254740991.0"),
        ("EmailAddress", "a.b+c@mail.test", "a.b+c@mail.test"),
        ("Number", 3, 3),
        ("Number", " 3 ", 3),
        ("Number", 3.0, 3),
        ("LongNumber", "-9223372036854775808", -9223372036854775808),
        ("Byte", 0, 0),
        ("Byte", " 255 ", 255),
        ("Decimal", "1.10", "1.10"),
        ("Decimal", "0.00", "0.00"),
        ("Decimal", "1e5", "100000"),
        ("Decimal", " 1.50E-3 ", "0.00150"),
        ("Decimal", ".5", "0.5"),
        ("Decimal", "-.5", "-0.5"),
        ("Decimal", "5.", "5"),
        ("Decimal", "-0e9", "0"),
        ("Decimal", 1.5, 1.5),
        ("Boolean", "TRUE", True),
        ("Boolean", False, False),
        ("Date", "2026-01-31", "2026-01-31"),
        ("Date", "2026-01-31T10:00:00Z", "2026-01-31"),
        ("Phone", "+49 (30) 123-456", "+49 (30) 123-456"),
        ("Phone", 4930123456, "4930123456"),
        ("Unheard-of", "kept as text", "kept as text"),
    ],
)
def test_forms(data_type: str, value: Any, written: Any) -> None:
    found = check(of_type(data_type), value)
    assert (type(found), found) == (type(written), written)


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        ("Text", ["list"]),
        ("Text", {"an": "object"}),
        ("Text", 2.0**53),  # the nearest to several numbers
        ("Text", -(2.0**53)),
        ("EmailAddress", "nobody"),
        ("EmailAddress", "two@@mail.test"),
        ("EmailAddress", "x" * 65 + "@mail.test"),
        ("EmailAddress", f"a@{'b.' * 125}test"),
        ("EmailAddress", 5),
        ("Number", "3.5"),
        ("Number", 3.5),
        ("Number", True),
        ("Number", "many"),
        ("Number", "١٢"),
        ("Number", 1e30),
        ("Number", 2.0**53),
        ("Number", -(2.0**53)),
        ("Number", 2**63),
        ("Number", "-9999999999999999999"),
        ("Byte", -1),
        ("Byte", 256),
        ("Byte", "many"),
        ("Decimal", "1_000"),
        ("Decimal", "١٢"),
        ("Decimal", float("nan")),
        ("Decimal", float("inf")),
        ("Decimal", "NaN"),
        ("Decimal", "1,5"),
        ("Decimal", "1e31"),
        ("Decimal", "1e-9999"),
        ("Decimal", "1e99999"),
        ("Decimal", "."),
        ("Decimal", True),
        ("Boolean", "yes"),
        ("Boolean", 1),
        ("Date", "31.01.2026"),
        ("Date", 20260131),
        ("Phone", "call me"),
        ("Phone", "..."),
        ("Phone", 12.5),
    ],
)
def test_what_does_not_fit_is_said_without_the_value(data_type: str, value: Any) -> None:
    with pytest.raises(BadValue) as refused:
        check(of_type(data_type), value)
    assert str(value) not in str(refused.value)


def test_dates_are_written_in_the_destinations_format() -> None:
    assert check(of_type("Date"), "2026-01-31", date_format="%m/%d/%Y") == "01/31/2026"


@given(
    st.from_regex(
        r"[+-]?([0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9})([eE][+-]?[0-9]{1,2})?",
        fullmatch=True,
        alphabet=st.characters(codec="ascii"),
    )
)
def test_a_decimal_is_written_plainly_and_stays_what_it_is(text: str) -> None:
    try:
        written = check(of_type("Decimal"), text)
    except BadValue:
        assert abs(Decimal(text).adjusted()) > 30
    else:
        assert re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", written)
        assert Decimal(written) == Decimal(text)


@pytest.mark.parametrize(
    ("value", "date_format", "written"),
    [
        ("2026-01-31T22:30:00-05:00", "%Y-%m-%dT%H:%M:%SZ", "2026-02-01T03:30:00Z"),
        ("2026-01-31T22:30:00-05:00", "%H:%M%%Z", "03:30%Z"),
        ("2026-01-31T22:30:00-05:00", "%Y-%m-%dT%H:%M:%S", "2026-01-31T22:30:00"),
        ("2026-01-31T22:30:00-05:00", "%H:%M %Z", "22:30 UTC-05:00"),
        ("2026-01-31T22:30:00Z", "%Y-%m-%dT%H:%M:%SZ", "2026-01-31T22:30:00Z"),
        ("2026-01-31T22:30:00", "%Y-%m-%dT%H:%M:%SZ", "2026-01-31T22:30:00Z"),
        ("2026-01-31", "%Y-%m-%dT%H:%M:%SZ", "2026-01-31T00:00:00Z"),
    ],
)
def test_a_format_that_ends_in_z_says_utc(value: str, date_format: str, written: str) -> None:
    assert check(of_type("Date"), value, date_format=date_format) == written


def test_a_time_that_has_no_utc_is_no_date() -> None:
    with pytest.raises(BadValue, match="is not a date"):
        check(of_type("Date"), "0001-01-01T00:00:00+05:00", date_format="%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("date_format", "written"),
    [("%Y-%m-%d", "0987-01-31"), ("%F", "0987-01-31"), ("%d.%m.%Y", "31.01.0987"), ("%%Y %Y", "%Y 0987")],
)
def test_years_have_four_digits(date_format: str, written: str) -> None:
    assert check(of_type("Date"), "0987-01-31", date_format=date_format) == written


def test_restricted_values() -> None:
    tier = of_type("Text", restricted_values=("gold", "silver"))
    assert check(tier, "gold") == "gold"
    with pytest.raises(BadValue, match="restricted values"):
        check(tier, "Gold")


def test_a_restricted_number() -> None:
    tier = replace(TEXT, data_type="Number", restricted_values=("1", "2"))  # its length is none of a number
    assert check(tier, "1") == 1
    with pytest.raises(BadValue, match="restricted values"):
        check(tier, 3)


def test_text_of_length_minus_one_has_no_bound() -> None:
    assert check(replace(TEXT, length=-1), "x" * 9_000) == "x" * 9_000


def test_a_restricted_boolean() -> None:
    assert check(of_type("Boolean", restricted_values=("true",)), True) is True
    with pytest.raises(BadValue, match="restricted values"):
        check(of_type("Boolean", restricted_values=("true",)), False)


@given(st.text(max_size=8))
def test_length_counts_characters(text: str) -> None:
    if len(text) <= 5:
        assert check(TEXT, text) == text
    else:
        with pytest.raises(BadValue, match="longer than 5 characters"):
            check(TEXT, text)


@given(st.text(max_size=5))
def test_documented_characters(text: str) -> None:
    if all(32 <= ord(character) <= 254 for character in text):
        assert check(TEXT, text, documented=True) == text
    else:
        with pytest.raises(BadValue, match="32 to 254"):
            check(TEXT, text, documented=True)


@pytest.mark.parametrize("space", ["\x1c", "\x1d", "\x1e", "\x1f", "\u2028", "\u3000", "\n", " "])
@pytest.mark.parametrize("kind", ["Number", "LongNumber", "Byte", "Decimal"])
def test_space_around_a_number_is_taken_away(kind: str, space: str) -> None:
    assert float(check(of_type(kind), f"{space}12{space}")) == 12
