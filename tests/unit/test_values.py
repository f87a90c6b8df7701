"""Values are checked against their attribute and brought into its form, and no refusal quotes one."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog import Attribute
from app.values import BadValue, Check, checker

ANY_TYPE = ["Text", "EmailAddress", "Number", "LongNumber", "Decimal", "Boolean", "Phone", "Date"]
days = st.dates(min_value=date(1000, 1, 1))


def check_of(
    data_type: str, *, date_format: str = "%Y-%m-%d", documented_characters: bool = False, **more: Any
) -> Check:
    attribute = Attribute("Email Demographics", "EmailDemographics", "Field", "Field", data_type, **more)
    return checker(attribute, date_format=date_format, documented_characters=documented_characters)


def exactly(value: object) -> tuple[type, object]:
    """A value with its type, since True == 1 == 1.0."""
    return type(value), value


@pytest.mark.parametrize(
    ("data_type", "value", "written"),
    [
        ("Text", "Ann", "Ann"),
        ("Text", "", ""),
        ("Text", "  kept as it is  ", "  kept as it is  "),
        ("Text", True, "true"),
        ("Text", False, "false"),
        ("Text", 7, "7"),
        ("Text", 7.5, "7.5"),
        ("Locale", "de_DE", "de_DE"),  # a type that has no rule of its own is text
        ("", 7, "7"),
        ("EmailAddress", "ann@mail.test", "ann@mail.test"),
        ("EmailAddress", "A.nn+news@sub.mail-1.test", "A.nn+news@sub.mail-1.test"),
        ("EmailAddress", f"{'a' * 64}@mail.test", f"{'a' * 64}@mail.test"),
        ("Number", 7, 7),
        ("Number", 0, 0),
        ("Number", -7, -7),
        ("Number", 7.0, 7),
        ("Number", "7", 7),
        ("Number", " -7 ", -7),
        ("Number", "+7", 7),
        ("LongNumber", "9223372036854775807", 2**63 - 1),
        ("Decimal", 7, 7),
        ("Decimal", 7.25, 7.25),
        ("Decimal", "7.250", "7.250"),  # as text, so that no digit is lost
        ("Decimal", " -0.10 ", "-0.10"),
        ("Decimal", "1e5", "1e5"),
        ("Boolean", True, True),
        ("Boolean", False, False),
        ("Boolean", "true", True),
        ("Boolean", "FALSE", False),
        ("Phone", "+49 (30) 123-45.67", "+49 (30) 123-45.67"),
        ("Phone", 4930123, "4930123"),
        ("Date", "2026-02-28", "2026-02-28"),
        ("Date", "2026-02-28T23:59:59Z", "2026-02-28"),
        ("Date", "2026-02-28T23:59:59.123-08:00", "2026-02-28"),  # the day where it was, not the one in UTC
        ("Date", "2024-02-29T00:00:00", "2024-02-29"),
    ],
)
def test_a_value_is_written_in_the_form_of_its_attribute(data_type: str, value: object, written: object) -> None:
    assert exactly(check_of(data_type)(value)) == exactly(written)


@pytest.mark.parametrize(
    ("data_type", "value", "why"),
    [
        ("EmailAddress", "", "email address"),
        ("EmailAddress", "ann", "email address"),
        ("EmailAddress", "ann@mail", "email address"),
        ("EmailAddress", "ann@mail.t", "email address"),
        ("EmailAddress", "ann@-mail.test", "email address"),
        ("EmailAddress", "ann@mail-.test", "email address"),
        ("EmailAddress", "ann@mail..test", "email address"),
        ("EmailAddress", "ann bee@mail.test", "email address"),
        ("EmailAddress", "ann@mail.test\n", "email address"),
        ("EmailAddress", " ann@mail.test", "email address"),
        ("EmailAddress", "Ann <ann@mail.test>", "email address"),
        ("EmailAddress", "ann@mail.test,bee@mail.test", "email address"),
        ("EmailAddress", "ann@bee@mail.test", "email address"),
        ("EmailAddress", f"{'a' * 65}@mail.test", "email address"),
        ("EmailAddress", f"a@{'mail.' * 50}test", "email address"),  # 256 characters
        ("EmailAddress", 7, "email address"),
        ("Number", "", "whole number"),
        ("Number", "7.0", "whole number"),
        ("Number", "7a", "whole number"),
        ("Number", "1_000", "whole number"),
        ("Number", "1" * 20, "whole number"),
        ("Number", 7.5, "whole number"),
        ("Number", float("inf"), "whole number"),
        ("Number", float("nan"), "whole number"),
        ("Number", True, "whole number"),
        ("LongNumber", "seven", "whole number"),
        ("Decimal", "", "number"),
        ("Decimal", "seven", "number"),
        ("Decimal", "7,5", "number"),
        ("Decimal", "NaN", "number"),
        ("Decimal", "-Infinity", "number"),
        ("Decimal", True, "number"),
        ("Boolean", 1, "true nor false"),
        ("Boolean", 0, "true nor false"),
        ("Boolean", "yes", "true nor false"),
        ("Boolean", "", "true nor false"),
        ("Phone", "12", "phone number"),
        ("Phone", "1" * 31, "phone number"),
        ("Phone", "+49 30 CALL-ME", "phone number"),
        ("Phone", "49+30123", "phone number"),
        ("Phone", 7.5, "phone number"),
        ("Phone", True, "phone number"),
        ("Date", "", "date"),
        ("Date", "28.02.2026", "date"),
        ("Date", "02/28/2026", "date"),
        ("Date", "2026-2-28", "date"),
        ("Date", "2026-02-30", "date"),
        ("Date", "2025-02-29T00:00:00Z", "date"),
        ("Date", "2026-02-28T25:00:00Z", "date"),
        ("Date", 1_772_236_800_000, "date"),
        ("Date", True, "date"),
    ],
)
def test_what_does_not_fit_its_attribute_is_refused(data_type: str, value: object, why: str) -> None:
    with pytest.raises(BadValue, match=why):
        check_of(data_type)(value)


@pytest.mark.parametrize("data_type", ANY_TYPE)
@pytest.mark.parametrize("value", [None, [], ["ann@mail.test"], {}, {"id": "7"}])
def test_no_type_takes_a_list_an_object_or_null(data_type: str, value: object) -> None:
    with pytest.raises(BadValue):
        check_of(data_type)(value)


class TestLength:
    @pytest.mark.parametrize("data_type", ["Text", "Locale"])
    @given(length=st.integers(0, 40), text=st.text(max_size=60))
    def test_text_is_taken_up_to_the_length_and_not_beyond_and_never_cut(
        self, data_type: str, length: int, text: str
    ) -> None:
        check = check_of(data_type, length=length)
        if len(text) <= length:
            assert check(text) == text
        else:
            with pytest.raises(BadValue, match=f"longer than {length} characters"):
                check(text)

    @pytest.mark.parametrize("length", [None, -1])
    def test_without_a_length_any_is_taken(self, length: int | None) -> None:
        assert check_of("Text", length=length)("x" * 100_000) == "x" * 100_000

    def test_the_length_is_that_of_what_is_written_not_of_what_was_read(self) -> None:
        with pytest.raises(BadValue, match="longer than 3"):
            check_of("Text", length=3)(1234)
        assert check_of("Date", length=10)("2026-02-28T23:59:59Z") == "2026-02-28"

    @pytest.mark.parametrize(("data_type", "value"), [("Number", 123456), ("Decimal", 1234.5), ("Boolean", True)])
    def test_a_number_has_no_characters_to_count(self, data_type: str, value: object) -> None:
        assert check_of(data_type, length=2)(value) == value

    def test_an_email_address_has_both_its_own_and_the_limit_of_its_attribute(self) -> None:
        assert check_of("EmailAddress", length=13)("ann@mail.test") == "ann@mail.test"
        with pytest.raises(BadValue, match="longer than 12"):
            check_of("EmailAddress", length=12)("ann@mail.test")


class TestRestrictedValues:
    @pytest.mark.parametrize(
        ("data_type", "allowed", "value"),
        [("Text", ("gold", "silver"), "gold"), ("Number", ("1", "2"), "2"), ("Text", ("1",), 1)],
    )
    def test_one_of_them_is_taken(self, data_type: str, allowed: tuple[str, ...], value: object) -> None:
        check = check_of(data_type, restricted_values=allowed)
        assert str(check(value)) == str(value)

    @pytest.mark.parametrize(
        ("data_type", "allowed", "value"),
        [
            ("Text", ("gold", "silver"), "Gold"),
            ("Text", ("gold", "silver"), "gold "),
            ("Text", ("gold",), ""),
            ("Number", ("1", "2"), 3),
        ],
    )
    def test_anything_else_is_refused(self, data_type: str, allowed: tuple[str, ...], value: object) -> None:
        with pytest.raises(BadValue, match="restricted values"):
            check_of(data_type, restricted_values=allowed)(value)


class TestCharacters:
    @given(st.characters(codec="utf-8"))
    def test_with_documented_only_code_points_32_to_254_are_taken(self, character: str) -> None:
        check = check_of("Text", documented_characters=True)
        if 32 <= ord(character) <= 254:
            assert check(f"a{character}b") == f"a{character}b"
        else:
            with pytest.raises(BadValue, match="32 to 254"):
                check(f"a{character}b")

    @pytest.mark.parametrize("character", ["\x1f", "\t", "ÿ", "ł", "漢", "🙂"])
    def test_otherwise_any_is(self, character: str) -> None:
        assert check_of("Text")(character) == character

    def test_a_number_is_not_looked_at(self) -> None:
        assert check_of("Number", documented_characters=True)(7) == 7


class TestDates:
    @given(days)
    def test_a_day_stays_the_same_day(self, day: date) -> None:
        assert check_of("Date")(day.isoformat()) == day.isoformat()

    @given(
        moment=st.datetimes(min_value=datetime(1000, 1, 2)),  # noqa: DTZ001  # the zone is drawn beside it
        offset=st.integers(-14 * 60, 14 * 60),
    )
    def test_a_time_is_written_as_the_day_it_names_in_its_own_zone(self, moment: datetime, offset: int) -> None:
        text = moment.replace(tzinfo=timezone(timedelta(minutes=offset))).isoformat()
        assert check_of("Date")(text) == moment.date().isoformat()

    @pytest.mark.parametrize(
        ("date_format", "written"),
        [("%m/%d/%Y", "02/28/2026"), ("%d.%m.%Y", "28.02.2026"), ("%Y-%m-%d %H:%M:%S", "2026-02-28 23:59:01")],
    )
    def test_the_format_is_the_one_of_the_destination(self, date_format: str, written: str) -> None:
        assert check_of("Date", date_format=date_format)("2026-02-28T23:59:01Z") == written

    def test_a_day_alone_is_midnight_in_a_format_with_a_time(self) -> None:
        assert check_of("Date", date_format="%Y-%m-%d %H:%M")("2026-02-28") == "2026-02-28 00:00"


@given(number=st.integers(-(2**63), 2**63 - 1), space=st.sampled_from(["", " ", "\t"]))
def test_a_whole_number_in_text_keeps_every_digit(number: int, space: str) -> None:
    assert check_of("LongNumber")(f"{space}{number}{space}") == number


@given(st.decimals(allow_nan=False, allow_infinity=False).map(str))
def test_a_decimal_in_text_keeps_every_digit(text: str) -> None:
    assert check_of("Decimal")(text) == text


@pytest.mark.parametrize(
    ("data_type", "values"),
    [
        ("Text", st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans()),
        ("Number", st.integers(-(2**63), 2**63 - 1).flatmap(lambda number: st.sampled_from([number, str(number)]))),
        ("Decimal", st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.decimals(-9, 9, places=3).map(str)),
        ("Boolean", st.booleans() | st.sampled_from(["true", "True", "false", "FALSE"])),
        ("Phone", st.integers(100, 10**15) | st.from_regex(r"\A\+[0-9][0-9 ]{5,12}\Z")),
        ("Date", days.map(date.isoformat)),
    ],
)
@given(data=st.data())
def test_what_was_written_is_written_the_same_again(
    data_type: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    """So a value that went through once is not a different one to the delivered state the next time."""
    check = check_of(data_type)
    written = check(data.draw(values))
    assert exactly(check(written)) == exactly(written)


@pytest.mark.parametrize("data_type", [name for name in ANY_TYPE if name != "Text"])
@given(value=st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=20))
def test_the_refusal_of_a_type_never_quotes_the_value(data_type: str, value: str) -> None:
    assert_refused_in_silence(check_of(data_type), value)


@pytest.mark.parametrize("rule", [{"length": 2}, {"restricted_values": ("gold",)}, {"documented_characters": True}])
@given(value=st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=3, max_size=20))
def test_the_refusal_of_a_text_never_quotes_it(rule: dict[str, Any], value: str) -> None:
    assert_refused_in_silence(check_of("Text", **rule), value)


def assert_refused_in_silence(check: Check, value: str) -> None:
    with pytest.raises(BadValue) as refusal:
        check(value)
    assert not set(value) & set(str(refusal.value))
    assert refusal.value.__cause__ is None
