"""Moments in epoch milliseconds: reads them in the forms that others use, and finds their hour and day (UTC). Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
LATEST_MS: Final = 253_402_300_800_000  # the end of the year 9999

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 2019-04-15T02:41:50.000+0000: an offset without its colon, which datetime.fromisoformat of Python 3.11 accepts, but not with
# every fraction; longer ones are cut to six digits
_LONG_FRACTION = re.compile(r"(\.\d{6})\d+")
_HAS_ZONE = re.compile(r"(Z|z|[+-]\d\d:?\d\d)$")
_DIGITS = re.compile(r"[0-9]{1,15}")


def parse_time(text: Any) -> int:
    """Convert an RFC 3339 time to epoch milliseconds; offsets like +0000 are accepted.

    Raises: `ValueError`, also for a time without a time zone; its text does not quote the input.
    """
    upper = text.upper() if isinstance(text, str) else ""  # RFC 3339 allows t and z
    no_time = ValueError("not a time with date, time of day and time zone")
    if "T" not in upper or not _HAS_ZONE.search(upper):
        raise no_time
    try:
        moment = datetime.fromisoformat(_LONG_FRACTION.sub(r"\1", upper))
    except ValueError:  # its text quotes the input
        raise no_time from None
    return _epoch_ms(moment)


def read_moment(given: Any) -> int:
    """Convert a datetime with a time zone, RFC 3339 text, or epoch milliseconds to epoch milliseconds.

    Raises: `ValueError`, whose text does not quote the input.
    """
    match given:
        case datetime() if given.utcoffset() is None:
            raise ValueError("a datetime without a time zone")
        case datetime():
            return _epoch_ms(given)
        case str():
            return parse_time(given)
        case int() if not isinstance(given, bool) and 0 <= given < LATEST_MS:
            return given
    raise ValueError("neither RFC 3339 text nor epoch ms")


def read_epoch_ms(text: str) -> int | None:
    """Return the epoch milliseconds that a text of digits names; None for any other text, and beyond the year 9999."""
    return int(text) if _DIGITS.fullmatch(text) and int(text) < LATEST_MS else None


def rfc3339(epoch_ms: int, *, timespec: str = "milliseconds") -> str:
    return (_EPOCH + timedelta(milliseconds=epoch_ms)).isoformat(timespec=timespec).replace("+00:00", "Z")


def hour_of(epoch_ms: int) -> int:
    """Return the hour, in hours since 1970; it names a run."""
    return epoch_ms // HOUR_MS


def start_of_hour_ms(hour: int) -> int:
    return hour * HOUR_MS


def start_of_day_ms(day: date) -> int:
    return (day - _EPOCH.date()).days * DAY_MS


def _epoch_ms(moment: datetime) -> int:
    try:
        return round(moment.astimezone(UTC).timestamp() * 1000)
    except OverflowError:
        raise ValueError("not a time within the years 1 to 9999 (UTC)") from None
