"""Checks one value against the attribute it is written to, and converts it to the attribute's form. Pure.

`checker` is called once for a mapping row; what it returns is called for every profile and raises `BadValue`, whose text
says what is wrong but never quotes the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

from app.mapping.xdm import EXACT

if TYPE_CHECKING:
    from app.mapping.catalog import Attribute

Scalar = str | int | float | bool
Check = Callable[[Any], Scalar]

_EMAIL = re.compile(r"[^\s@<>(),;:\"\[\]\\]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}")
_EMAIL_LENGTH = 254
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_INTEGERS = range(-(2**63), 2**63)  # what JSON writers and databases agree on
_BYTE = range(256)  # the type is unsigned in Marketing Cloud's database
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_PLAIN_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_MOST_PLACES = 30  # digits before or after the point to which an exponent may expand
_PHONE = re.compile(r"(?=.*[0-9])\+?[0-9\s().-]{3,30}")
_FORMAT_PART = re.compile(r"%.")
_DOCUMENTED_CHARACTERS = range(32, 255)  # what Salesforce documents as allowed in a profile attribute


class BadValue(ValueError):
    """The value cannot be written to its attribute."""


def checker(attribute: Attribute, *, date_format: str, documented_characters: bool) -> Check:
    """Return a check of this attribute's type, length, characters and restricted values."""
    check = _BY_TYPE.get(attribute.data_type)
    if attribute.data_type == "Date":
        check = _date_check(date_format)
    if check is None:
        check = _text
    longest = attribute.length if attribute.length is not None and attribute.length >= 0 else None
    allowed = frozenset(attribute.restricted_values)
    if longest is None and not allowed and not documented_characters:
        return check

    def checked(value: Any) -> Scalar:
        written = check(value)
        if isinstance(written, str):
            if longest is not None and len(written) > longest:
                raise BadValue(f"is longer than {longest} characters")
            if documented_characters and any(ord(character) not in _DOCUMENTED_CHARACTERS for character in written):
                raise BadValue("has characters outside of those that Salesforce documents (32 to 254)")
        if allowed and (str(written).lower() if isinstance(written, bool) else str(written)) not in allowed:
            raise BadValue("is not one of the attribute's restricted values")
        return written

    return checked


def is_text(attribute: Attribute) -> bool:
    """Return whether empty text is a value of the attribute's type."""
    return attribute.data_type != "Date" and _BY_TYPE.get(attribute.data_type, _text) is _text


def _text(value: Any) -> Scalar:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if abs(value) >= EXACT:
            raise BadValue("is a number too large to be exact; send it as text")
        return str(value)
    raise BadValue("is a list or an object, not one value")


def _email(value: Any) -> Scalar:
    if not isinstance(value, str) or len(value) > _EMAIL_LENGTH or not _EMAIL.fullmatch(value):
        raise BadValue("is not an email address")
    return value


def _integer(value: Any) -> Scalar:
    number: Any = None
    if isinstance(value, str):
        text = value.strip()  # strip() knows more kinds of space than int() does
        number = int(text) if _INTEGER.fullmatch(text) else None
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        number = int(value)
    if number is None:
        raise BadValue("is not a whole number")
    if number not in _INTEGERS:
        raise BadValue("is a whole number of more than 64 bits")
    return int(number)


def _byte(value: Any) -> Scalar:
    number = _integer(value)
    if number not in _BYTE:
        raise BadValue(f"is not a number from {_BYTE.start} to {_BYTE.stop - 1}")
    return number


def _decimal(value: Any) -> Scalar:
    if isinstance(value, str) and _DECIMAL.fullmatch(text := value.strip()):
        return text if _PLAIN_DECIMAL.fullmatch(text) else _plain(Decimal(text))
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return value
    raise BadValue("is not a number")


def _plain(number: Decimal) -> str:
    """Write 1e5 as 100000 and .5 as 0.5, forms that every reader of numbers accepts."""
    if not number:
        return "0"
    if abs(number.adjusted()) > _MOST_PLACES:
        raise BadValue("is a number of too many digits")
    return format(number, "f")


def _boolean(value: Any) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise BadValue("is neither true nor false")


def _phone(value: Any) -> Scalar:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _PHONE.fullmatch(text):
        raise BadValue("is not a phone number")
    return text


def write_date(moment: date, date_format: str) -> str:
    """Format a date like strftime, but every year with four digits: some platforms write the year 987 with three."""
    year = f"{moment.year:04}"
    parts = {"%Y": year, "%F": f"{year}-%m-%d", "%G": f"{moment.isocalendar().year:04}"}
    return moment.strftime(_FORMAT_PART.sub(lambda part: parts.get(part[0], part[0]), date_format))


def _date_check(date_format: str) -> Check:
    says_utc = _FORMAT_PART.sub("", date_format).endswith("Z")

    def check(value: Any) -> Scalar:
        if not isinstance(value, str):
            raise BadValue("is not a date")
        try:
            moment = datetime.fromisoformat(value) if len(value) > len("2026-01-01") else date.fromisoformat(value)
            if says_utc and isinstance(moment, datetime) and moment.tzinfo is not None:
                moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise BadValue("is not a date") from None
        return write_date(moment, date_format)

    return check


_BY_TYPE: dict[str, Check] = {
    "Text": _text,
    "EmailAddress": _email,
    "Number": _integer,
    "LongNumber": _integer,
    "Byte": _byte,
    "Decimal": _decimal,
    "Boolean": _boolean,
    "Phone": _phone,
}
