from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app.destinations.model import Destination
from app.errors import UsageError
from app.mapping.catalog import Catalog
from app.mapping.compiled import compile_mapping
from app.mapping.contact_key import contact_key_reader
from app.mapping.update import ContactUpdate, Excluded, Reason, Value
from tests.unit.mapping.conftest import row

NOW = 1_767_312_000_000  # 2026-01-02
THEN = "2026-01-01T00:00:00Z"
THEN_MS = 1_767_225_600_000
Make = Callable[..., Destination]
SEGMENT = {"id": "seg-1", "name": "One", "mapping_id": "salesforce_mc_segment_1"}
FIELD = "Email Demographics.salesforce_mc_segment_1"


def person(**more: Any) -> dict[str, Any]:
    return {
        "identityMap": {"contactKey": [{"id": "k1"}]},
        "personalEmail": {"address": "ann@mail.test"},
        "occurredAt": THEN,
        **more,
    }


def member(status: str, when: str | None = THEN, segment: str = "seg-1") -> dict[str, Any]:
    item = {"status": status} if when is None else {"status": status, "lastQualificationTime": when}
    return {"segmentMembership": {"ups": {segment: item}}}


def resolve(destination: Destination, catalog: Catalog, profile: Any, occurred_at_ms: int = NOW) -> Any:
    return compile_mapping(destination, catalog).resolve(
        profile, occurred_at_ms=occurred_at_ms, arrived_at_ms=NOW, now_ms=NOW
    )


def test_values_get_their_names_and_the_version_of_the_profile(make: Make, catalog: Catalog) -> None:
    update = resolve(make(row("xdm: person.name.firstName", "First Name")), catalog,
                     person(person={"name": {"firstName": "Ann"}}))  # fmt: skip
    assert update == ContactUpdate(
        "k1",
        {
            "Email Addresses.Email Address": Value("ann@mail.test", THEN_MS),
            "Email Demographics.First Name": Value("Ann", THEN_MS),
        },
        {},
    )


@pytest.mark.parametrize(
    ("source", "profile", "written"),
    [
        ("xdm: a.b", {"a": {"b": "deep"}}, "deep"),
        ("xdm: a.b", {"xdm:a": {"xdm:b": "prefixed"}}, "prefixed"),
        ("xdm: a.b", {"a": {"b": 7}}, "7"),
        ("xdm: a.b", {"a": {"b": True}}, "true"),
        ("const: fixed", {}, "fixed"),
        ("IdentityMap: crm", {"identityMap": {"contactKey": [{"id": "k1"}], "crm": [{"id": "x"}]}}, "x"),
        (
            "IdentityMap: crm",
            {"identityMap": {"contactKey": [{"id": "k1"}], "crm": [{"id": "x"}, {"id": "y", "primary": True}]}},
            "y",
        ),
    ],
)
def test_sources(make: Make, catalog: Catalog, source: str, profile: dict[str, Any], written: str) -> None:
    update = resolve(make(row(source, "Market")), catalog, person(**profile))
    assert update.values["Email Demographics.Market"].value == written


@pytest.mark.parametrize(
    ("profile", "reason", "detail"),
    [
        ("text", Reason.MALFORMED_PROFILE, "not a JSON object"),
        (None, Reason.MALFORMED_PROFILE, "not a JSON object"),
        ({}, Reason.MISSING_CONTACT_KEY, "identityMap.contactKey"),
        ({"identityMap": {"contactKey": []}}, Reason.MISSING_CONTACT_KEY, "identityMap.contactKey"),
        ({"identityMap": {"contactKey": [{"id": "  "}]}}, Reason.MISSING_CONTACT_KEY, "identityMap.contactKey"),
        ({"identityMap": {"contactKey": {"id": "k"}}}, Reason.MALFORMED_PROFILE, "not a list"),
        ({"identityMap": {"contactKey": [{"id": None}]}}, Reason.MALFORMED_PROFILE, "without an id"),
        (person(personalEmail="flat"), Reason.MALFORMED_PROFILE, "personalEmail is not an object"),
        (person(personalEmail={"address": "nobody"}), Reason.INVALID_VALUE, "is not an email address"),
        (person(occurredAt="yesterday"), Reason.MALFORMED_PROFILE, "occurredAt is not a time"),
        (person(occurredAt="2026-01-01T00:00:00"), Reason.MALFORMED_PROFILE, "occurredAt is not a time"),
        (person(**member("realized", "once")), Reason.MALFORMED_PROFILE, "lastQualificationTime is not a time"),
    ],
)
def test_what_cannot_be_written_is_excluded_with_its_place_and_without_its_value(
    make: Make, catalog: Catalog, profile: Any, reason: Reason, detail: str
) -> None:
    found = resolve(make(row("xdm: market", "Market"), segments=[SEGMENT]), catalog, profile)
    assert isinstance(found, Excluded)
    assert found.reason == reason
    assert detail in found.detail
    assert not any(value in found.detail for value in ("nobody", "mmm", "yesterday", "unheard-of", "k1"))


def test_nothing_mapped(make: Make, catalog: Catalog) -> None:
    profile = {"identityMap": {"contactKey": [{"id": "k1"}]}}
    assert resolve(make(), catalog, profile) == Excluded(Reason.NOTHING_MAPPED)


@pytest.mark.parametrize(("clear", "expected"), [(False, None), (True, Value("", THEN_MS))])
def test_null_clears_only_where_the_destination_says_so(
    make: Make, catalog: Catalog, clear: bool, expected: Value | None
) -> None:
    update = resolve(make(row("xdm: market", "Market"), clear_nulls=clear), catalog, person(market=None))
    assert update.values.get("Email Demographics.Market") == expected


def test_null_cannot_clear_what_the_account_requires(make: Make, catalog: Catalog) -> None:
    found = resolve(make(clear_nulls=True), catalog, person(personalEmail={"address": None}))
    assert found.reason == Reason.INVALID_VALUE
    assert "requires a value" in found.detail


def test_a_hashed_contact_key_and_attribute(make: Make, catalog: Catalog) -> None:
    destination = make(row("xdm: user", "Username", transform="sha256"))
    update = resolve(destination, catalog, person(user="ann"))
    assert update.values["Email Demographics.Username"].value == hashlib.sha256(b"ann").hexdigest()


@pytest.mark.parametrize("status", ["realized", "existing", "exited"])
def test_a_status_has_the_version_of_its_qualification(make: Make, catalog: Catalog, status: str) -> None:
    update = resolve(make(segments=[SEGMENT]), catalog, person(**member(status, "2025-06-01T00:00:00Z")))
    assert update.values[FIELD] == Value(status, 1_748_736_000_000)
    assert update.statuses == {"seg-1": status}


def test_a_status_without_a_time_has_that_of_the_profile(make: Make, catalog: Catalog) -> None:
    update = resolve(make(segments=[SEGMENT]), catalog, person(**member("realized", None)))
    assert update.values[FIELD].version_ms == THEN_MS


def test_a_time_in_the_future_counts_as_now(make: Make, catalog: Catalog) -> None:
    update = resolve(make(segments=[SEGMENT]), catalog,
                     person(occurredAt="2031-01-01T00:00:00Z", **member("exited", "2031-01-01T00:00:00Z")))  # fmt: skip
    assert {found.version_ms for found in update.values.values()} == {NOW}


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_beyond_the_calendar_is_malformed(make: Make, catalog: Catalog, edge: str) -> None:
    for profile in (person(occurredAt=edge), person(**member("exited", edge))):
        assert resolve(make(segments=[SEGMENT]), catalog, profile).reason == Reason.MALFORMED_PROFILE


def test_a_time_before_1970_counts_as_1970(make: Make, catalog: Catalog) -> None:
    update = resolve(make(segments=[SEGMENT]), catalog,
                     person(occurredAt="1931-01-01T00:00:00Z", **member("exited", "1931-01-01T00:00:00Z")))  # fmt: skip
    assert {found.version_ms for found in update.values.values()} == {0}


def test_statuses_are_translated(make: Make, catalog: Catalog) -> None:
    table = {"realized": "in", "existing": "in", "exited": "out"}
    update = resolve(make(segments=[SEGMENT], status_values=table), catalog, person(**member("exited")))
    assert update.values[FIELD].value == "out"
    assert update.statuses == {"seg-1": "exited"}


@pytest.mark.parametrize(
    ("one", "two", "written"),
    [
        ("realized", "exited", "realized"),
        ("exited", "existing", "existing"),
        ("exited", "exited", "exited"),
    ],
)
def test_of_segments_that_share_a_field_a_member_wins(
    make: Make, catalog: Catalog, one: str, two: str, written: str
) -> None:
    shared = [SEGMENT, {**SEGMENT, "id": "seg-2", "name": "Two"}]
    held = {
        "seg-1": {"status": one, "lastQualificationTime": THEN},
        "seg-2": {"status": two, "lastQualificationTime": "2025-01-01T00:00:00Z"},
    }
    update = resolve(make(segments=shared), catalog, person(segmentMembership={"ups": held}))
    assert update.values[FIELD] == Value(written, THEN_MS)
    assert update.statuses == {"seg-1": one, "seg-2": two}


@pytest.mark.parametrize(
    ("start", "end", "written"),
    [
        (None, None, True),
        ("2026-01-01", "2026-01-02", True),  # the last day is within
        ("2026-01-03", None, False),
        (None, "2026-01-01", False),
    ],
)
def test_a_segment_is_written_on_its_days(
    make: Make, catalog: Catalog, start: str | None, end: str | None, written: bool
) -> None:
    days = {name: day for name, day in (("start", start), ("end", end)) if day}
    update = resolve(make(segments=[{**SEGMENT, **days}]), catalog, person(**member("realized")))
    assert (FIELD in update.values) is written


@pytest.mark.parametrize(
    ("profile", "excluded"),
    [
        ({}, False),
        ({"consents": {"marketing": {"val": "y"}}}, False),
        ({"consents": {"marketing": {"val": "n"}}}, True),
        ({"consents": {"marketing": {"val": None}}}, False),
    ],
)
def test_consent(make: Make, catalog: Catalog, profile: dict[str, Any], excluded: bool) -> None:
    destination = make(consent={"source": "xdm: consents.marketing.val", "allowed": ["y"]})
    found = resolve(destination, catalog, person(**profile))
    assert (isinstance(found, Excluded) and found.reason == Reason.CONSENT) is excluded


def test_body_names_each_set_once_and_the_address_first(make: Make, catalog: Catalog) -> None:
    compiled = compile_mapping(make(row("xdm: a", "Market"), row("xdm: b", "Language")), catalog)
    body = orjson.loads(
        compiled.body(
            "k1",
            {
                "Email Demographics.Market": "m",
                "Email Addresses.Email Address": "a@mail.test",
                "Email Demographics.Language": "l",
                "Email Addresses.HTML Enabled": True,
            },
        )
    )
    assert body == {
        "contactKey": "k1",
        "attributeSets": [
            {
                "name": "Email Addresses",
                "items": [
                    {"values": [{"name": "Email Address", "value": "a@mail.test"},
                                {"name": "HTML Enabled", "value": True}]}
                ],
            },
            {
                "name": "Email Demographics",
                "items": [{"values": [{"name": "Market", "value": "m"}, {"name": "Language", "value": "l"}]}],
            },
        ],
    }  # fmt: skip


def test_twin_names_are_two_attributes(make: Make, catalog: Catalog) -> None:
    update = resolve(make(row("xdm: one", "Account Id"), row("xdm: two", "AccountId")), catalog,
                     person(one="1", two="2"))  # fmt: skip
    assert update.values["Email Demographics.Account Id"].value == "1"
    assert update.values["Email Demographics.AccountId"].value == "2"


@pytest.mark.parametrize(("raw", "key"), [("k1", "k1"), (17, "17"), (" padded ", " padded ")])
def test_contact_key_is_read_without_a_catalog(make: Make, raw: Any, key: str) -> None:
    assert contact_key_reader(make())({"identityMap": {"contactKey": [{"id": raw}]}}) == key


def test_a_mapping_that_does_not_fit_is_refused_with_every_place(make: Make, catalog: Catalog) -> None:
    with pytest.raises(UsageError) as refused:
        compile_mapping(make(row("xdm: a", "first name"), segments=[{**SEGMENT, "mapping_id": "gone"}]), catalog)
    assert refused.value.problems[0] == (
        "mapping[2].target: The account has no attribute 'Email Demographics.first name'. "
        "Did you mean 'First Name'? Case and spaces count."
    )
    assert refused.value.problems[1].startswith("segments[0].mapping_id: The Mapping ID 'gone' names no field")
