"""Moments: every form that is read, what is refused without being quoted, and the hour and day in which they lie."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.moments import (
    LATEST_MS,
    hour_of,
    parse_time,
    read_epoch_ms,
    read_moment,
    rfc3339,
    start_of_day_ms,
    start_of_hour_ms,
)

TEN = 1_795_341_600_000
MARK = "Marker-Ann"


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "ms"),
        [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-22T10:00:00Z", 1_795_341_600_000),
            ("2026-11-22t10:00:00Z", 1_795_341_600_000),
            ("2026-11-22T10:00:00z", 1_795_341_600_000),
            ("2026-11-22T10:00:00+00:00", 1_795_341_600_000),
            ("2026-11-22T10:00:00+0000", 1_795_341_600_000),
            ("2026-11-22T12:30:00+02:30", 1_795_341_600_000),
            ("2026-11-22T05:00:00-0500", 1_795_341_600_000),
            ("2026-11-22T10:00Z", 1_795_341_600_000),
            ("2026-11-22T10:00:00.1Z", 1_795_341_600_100),
            ("2026-11-22T10:00:00.12Z", 1_795_341_600_120),
            ("2026-11-22T10:00:00.123+0000", 1_795_341_600_123),
            ("2026-11-22T10:00:00.1234567Z", 1_795_341_600_123),
            ("2026-11-22T10:00:00.123456789+02:00", 1_795_334_400_123),
            ("1969-12-31T23:59:59Z", -1000),
        ],
    )
    def test_every_form_of_one(self, text: str, ms: int) -> None:
        assert parse_time(text) == ms

    @given(
        moment=st.datetimes(datetime(1900, 1, 1), datetime(2900, 1, 1)),  # noqa: DTZ001  # the zone is drawn beside it
        offset=st.integers(-23 * 60, 23 * 60),
        colon=st.booleans(),
    )
    def test_what_was_written_is_read(self, moment: datetime, offset: int, colon: bool) -> None:
        moment = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
        text = moment.isoformat() if colon else moment.strftime("%Y-%m-%dT%H:%M:%S.%f%z")
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        assert (
            abs(parse_time(text) - since / timedelta(milliseconds=1)) < 0.6
        )  # the nearest, but for a float's rounding

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "2026-11-22",
            "2026-11-22T10:00:00",  # of which zone?
            "2026-11-22 10:00:00Z",
            "10:00:00Z",
            "2026-02-30T10:00:00Z",
            "2026-11-22T25:00:00Z",
            "2026-11-22T10:00:00+25:00",
            "2026-11-22T10:00:00 UTC",
            "2026-11-22T10:00:00Z\n",
            "yesterdayTZ",
            None,
            True,
            1_795_341_600_000,
            ["2026-11-22T10:00:00Z"],
        ],
    )
    def test_anything_else_is_refused(self, text: Any) -> None:
        with pytest.raises(ValueError):  # noqa: PT011  # its text is not shown to anyone
            parse_time(text)


class NoZone(tzinfo):
    """One that does not say how far it is from UTC."""

    def utcoffset(self, _: datetime | None) -> None:
        return None


class TestGiven:
    @pytest.mark.parametrize(
        "given_moment",
        [
            "2026-11-22T10:00:00Z",
            TEN,
            datetime(2026, 11, 22, 10, tzinfo=UTC),
            datetime(2026, 11, 22, 12, 30, tzinfo=timezone(timedelta(minutes=150))),
        ],
    )
    def test_the_same_moment_in_every_form(self, given_moment: Any) -> None:
        assert read_moment(given_moment) == TEN

    @given(moment=st.datetimes(datetime(1900, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # hypothesis wants them so
    def test_a_datetime_is_the_moment_that_its_text_is(self, moment: datetime) -> None:
        assert read_moment(moment) == parse_time(moment.isoformat())

    @pytest.mark.parametrize(
        "wrong",
        [
            MARK, "", str(TEN), datetime(2026, 11, 22, 10), datetime(2026, 11, 22, 10, tzinfo=NoZone()),  # noqa: DTZ001  # without a zone, that is what is wrong
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), -1, LATEST_MS, True, 1.5, None, [TEN], {MARK: TEN}, MARK.encode(),
        ],
    )  # fmt: skip
    def test_anything_else_is_refused_and_not_quoted(self, wrong: Any) -> None:
        with pytest.raises(ValueError, match=r"^(not|neither|a datetime) ") as caught:
            read_moment(wrong)
        assert MARK not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "epoch_ms"),
    [("0", 0), (str(TEN), TEN), (str(LATEST_MS - 1), LATEST_MS - 1)]
    + [(wrong, None) for wrong in ("", str(LATEST_MS), "9" * 5_000, "-1", "+1", " 1", "1.5", "1_000", "\u0661", "\u00b2", MARK)],
    ids=str,
)  # fmt: skip
def test_epoch_ms_are_plain_digits(text: str, epoch_ms: int | None) -> None:
    assert read_epoch_ms(text) == epoch_ms


@given(st.integers(0, LATEST_MS - 1))
def test_a_moment_lies_in_its_hour_and_is_written_as_it_is_read(epoch_ms: int) -> None:
    assert start_of_hour_ms(hour_of(epoch_ms)) <= epoch_ms < start_of_hour_ms(hour_of(epoch_ms) + 1)
    assert parse_time(rfc3339(epoch_ms)) == epoch_ms


def test_a_day_begins_at_midnight() -> None:
    assert start_of_day_ms(date(2026, 11, 22)) == parse_time("2026-11-22T00:00:00Z")
    assert start_of_day_ms(date(1969, 12, 31)) == parse_time("1969-12-31T00:00:00Z")
