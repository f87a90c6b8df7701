from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.profiles import MISSING, MalformedProfile, identities, membership, parse_time, value_at


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T01:00:00+0100", 0),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("1970-01-01t00:00:00z", 0),
    ],
)
def test_times(text: str, expected_ms: int) -> None:
    assert parse_time(text) == expected_ms


@pytest.mark.parametrize("text", ["", "2026-01-01", "2026-01-01T00:00:00", "1767225600", 1767225600, None, "now", "T"])
def test_what_is_no_time(text: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001  # the zone is added below
    st.integers(-14 * 60, 14 * 60),
)
def test_a_time_is_read_back_in_any_zone(moment: datetime, minutes: int) -> None:
    there = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=minutes)))
    assert abs(parse_time(there.isoformat()) - there.timestamp() * 1000) <= 0.5


@pytest.mark.parametrize(
    ("profile", "found"),
    [
        ({"a": {"b": 1}}, 1),
        ({"xdm:a": {"b": 1}}, 1),
        ({"a": {"b": 1}, "xdm:a": {"b": 2}}, 1),
        ({"a": {"b": None}}, None),
        ({"a": None}, MISSING),
        ({"a": {}}, MISSING),
        ({}, MISSING),
    ],
)
def test_value_at(profile: dict[str, Any], found: Any) -> None:
    assert value_at(profile, ("a", "b")) is found or value_at(profile, ("a", "b")) == found


def test_a_path_through_a_value_names_the_place() -> None:
    with pytest.raises(MalformedProfile, match=r"^a\.b is not an object$"):
        value_at({"a": {"b": "text"}}, ("a", "b", "c"))


def test_identities_have_the_primary_first_and_no_empty_ones() -> None:
    entries = [{"id": "1"}, {"id": " "}, {"id": 2, "primary": True}, {"id": "3", "primary": False}]
    assert identities({"identityMap": {"crm": entries}}, "crm") == ("2", "1", "3")
    assert identities({"identityMap": {"crm": entries}}, "other") == ()
    assert identities({}, "crm") == ()


@pytest.mark.parametrize("entries", ["text", {"id": "1"}, [None], [{"id": None}], [{"id": True}], [{}]])
def test_malformed_identities(entries: Any) -> None:
    with pytest.raises(MalformedProfile, match=r"^identityMap\.crm "):
        identities({"identityMap": {"crm": entries}}, "crm")


def test_membership() -> None:
    held = {"segmentMembership": {"ups": {"s": {"status": "exited", "lastQualificationTime": "1970-01-01T00:00:00Z"}}}}
    found = membership(held, "ups", "s")
    assert found is not None
    assert (found.status, found.qualified_at_ms) == ("exited", 0)
    assert membership(held, "ups", "other") is None
    assert membership(held, "other", "s") is None


@pytest.mark.parametrize("item", ["realized", {"status": 1}, {}, {"status": "x", "lastQualificationTime": "once"}])
def test_malformed_membership(item: Any) -> None:
    with pytest.raises(MalformedProfile, match=r"^segmentMembership\.ups\.s"):
        membership({"segmentMembership": {"ups": {"s": item}}}, "ups", "s")
