"""Decides whether a value fits its attribute. The rules for dates, clearing and numbers are invented: none are on record."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from app.sandbox import codes
from app.sandbox.definitions import Attribute

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_WHOLE = re.compile(r"[+-]?\d{1,19}")
_DECIMAL = re.compile(r"[+-]?\d{1,30}(\.\d{1,18})?")
_PHONE = re.compile(r"\+?[\d ().-]{3,}")
_US_DATES = ("%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")
_BOOLEANS = frozenset({"true", "false", "1", "0", "yes", "no"})


def problem_with(attribute: Attribute, value: Any, *, refuse_example_com: bool) -> str | None:
    """Return the result code that refuses this value, or None. Null and empty text clear an attribute that may be null."""
    if attribute.read_only or not attribute.updateable:
        return codes.ATTRIBUTE_READ_ONLY
    if value is None or value == "":
        return None if attribute.nullable else codes.VALUE_REQUIRED
    if attribute.data_type == "EmailAddress":
        if not isinstance(value, str) or not _EMAIL.fullmatch(value):
            return codes.INVALID_EMAIL_ADDRESS
        if refuse_example_com and value.lower().endswith(("@example.com", ".example.com")):
            return codes.INVALID_EMAIL_ADDRESS
    elif not _has_type(attribute.data_type, value):
        return codes.INVALID_VALUE
    if attribute.length is not None and 0 <= attribute.length < len(str(value)):
        return codes.VALUE_TOO_LONG
    if attribute.restricted_values and str(value) not in attribute.restricted_values:
        return codes.VALUE_NOT_IN_RESTRICTED_LIST
    return None


def _has_type(data_type: str, value: Any) -> bool:
    if data_type == "Boolean":
        return isinstance(value, bool) or str(value).lower() in _BOOLEANS
    if data_type in ("Number", "LongNumber", "Byte"):
        return not isinstance(value, bool) and (
            isinstance(value, int) or (isinstance(value, str) and _WHOLE.fullmatch(value) is not None)
        )
    if data_type == "Decimal":
        return not isinstance(value, bool) and (
            isinstance(value, int | float) or (isinstance(value, str) and _DECIMAL.fullmatch(value) is not None)
        )
    if data_type == "Date":
        return isinstance(value, str) and _is_date(value)
    if data_type == "Phone":
        return isinstance(value, int | str) and _PHONE.fullmatch(str(value)) is not None
    return True


def _is_date(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return any(_parses(value, form) for form in _US_DATES)
    return True


def _parses(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)  # noqa: DTZ007  only whether it is a date matters
    except ValueError:
        return False
    return True
