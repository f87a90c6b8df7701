"""From a profile to what is set on its contact: contact key, rows, nulls and versions, and what is excluded."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from app.destinations.model import MappingRow, Segment, Source, Target
from app.errors import UsageError
from app.mapping.catalog import EMAIL_ADDRESS, Catalog
from app.mapping.compiled import compile_mapping
from app.mapping.contact_key import contact_key_reader
from app.mapping.update import ContactUpdate, Excluded, Reason, Value
from tests.unit.mapping.campaign import (
    ARRIVED,
    CATALOG,
    EARLIER,
    EARLIER_TEXT,
    EMAIL,
    FIRST,
    FIRST_ROW,
    KEY_ROW,
    LATER_TEXT,
    MEMBER_SINCE,
    NOW,
    OWNERS,
    POINTS,
    POINTS_ROW,
    RENTERS,
    attribute,
    destination,
    is_,
    member,
    profile_of,
    resolve,
    row,
    update,
)


class TestContactKey:
    @pytest.mark.parametrize(
        ("source", "profile", "key"),
        [
            (KEY_ROW.source, {"identityMap": {"contactKey": [{"id": "c-1"}]}}, "c-1"),
            (KEY_ROW.source, {"identityMap": {"contactKey": [{"id": "a"}, {"id": "b", "primary": True}]}}, "b"),
            (KEY_ROW.source, {"identityMap": {"contactKey": [{"id": 1001}]}}, "1001"),
            (KEY_ROW.source, {"identityMap": {"contactKey": [{"id": 1001.0}]}}, "1001"),
            (Source("xdm", "crm.id"), {"crm": {"id": "c-1"}}, "c-1"),
            (Source("xdm", "crm.id"), {"crm": {"id": 1001}}, "1001"),
            (Source("xdm", "crm.id"), {"crm": {"id": 1001.0}}, "1001"),
            (Source("xdm", "crm.id"), {"crm": {"id": " c 1 "}}, " c 1 "),  # taken exactly
        ],
    )
    def test_where_it_is_read(self, source: Source, profile: dict[str, Any], key: str) -> None:
        plain = MappingRow(source, Target("contact_key"))
        hashed = MappingRow(source, Target("contact_key"), "sha256")
        assert contact_key_reader(destination(key=plain))(profile) == key
        assert contact_key_reader(destination(key=hashed))(profile) == hashlib.sha256(key.encode()).hexdigest()

    @pytest.mark.parametrize(
        ("source", "profile", "expected"),
        [
            (KEY_ROW.source, {}, Excluded(Reason.MISSING_CONTACT_KEY, "identityMap.contactKey")),
            (
                KEY_ROW.source,
                {"identityMap": {"email": [{"id": "x"}]}},
                Excluded(Reason.MISSING_CONTACT_KEY, "identityMap.contactKey"),
            ),
            (
                KEY_ROW.source,
                {"identityMap": {"contactKey": [{"id": " "}]}},
                Excluded(Reason.MISSING_CONTACT_KEY, "identityMap.contactKey"),
            ),
            (
                KEY_ROW.source,
                {"identityMap": {"contactKey": "c-1"}},
                Excluded(Reason.MALFORMED_PROFILE, "identityMap.contactKey is not a list"),
            ),
            (Source("xdm", "crm.id"), {"crm": {}}, Excluded(Reason.MISSING_CONTACT_KEY, "crm.id")),
            (Source("xdm", "crm.id"), {"crm": {"id": None}}, Excluded(Reason.MISSING_CONTACT_KEY, "crm.id")),
            (Source("xdm", "crm.id"), {"crm": {"id": "\t"}}, Excluded(Reason.MISSING_CONTACT_KEY, "crm.id")),
            (Source("xdm", "crm.id"), {"crm": {"id": True}}, Excluded(Reason.MALFORMED_PROFILE, "crm.id is not text")),
            (Source("xdm", "crm.id"), {"crm": {"id": 1.5}}, Excluded(Reason.MALFORMED_PROFILE, "crm.id is not text")),
            *(
                (
                    Source("xdm", "crm.id"),
                    {"crm": {"id": inexact}},
                    Excluded(Reason.MALFORMED_PROFILE, "crm.id is not text"),
                )
                for inexact in (2.0**53, -(2.0**53))
            ),
            (Source("xdm", "crm.id"), {"crm": {"id": ["x"]}}, Excluded(Reason.MALFORMED_PROFILE, "crm.id is not text")),
            (Source("xdm", "crm.id"), {"crm": "x"}, Excluded(Reason.MALFORMED_PROFILE, "crm is not an object")),
            (KEY_ROW.source, None, Excluded(Reason.MALFORMED_PROFILE, "the profile is not a JSON object")),
            (KEY_ROW.source, ["c-1"], Excluded(Reason.MALFORMED_PROFILE, "the profile is not a JSON object")),
            (KEY_ROW.source, "c-1", Excluded(Reason.MALFORMED_PROFILE, "the profile is not a JSON object")),
        ],
    )
    def test_without_one_a_profile_is_excluded(self, source: Source, profile: Any, expected: Excluded) -> None:
        for transform in (None, "sha256"):
            key: Any = MappingRow(source, Target("contact_key"), transform)
            assert contact_key_reader(destination(key=key))(profile) == expected
            assert resolve(profile, key=key) == expected

    def test_a_mapping_without_the_row_is_no_mapping(self) -> None:
        with pytest.raises(UsageError, match="no contact key") as refused:
            contact_key_reader(destination(key=FIRST_ROW))
        assert "contactKey" in refused.value.remedy


class TestRows:
    def test_what_is_mapped_and_mentioned_is_set(self) -> None:
        profile = profile_of(
            personalEmail={"address": "ann@mail.test"},
            person={"name": {"firstName": "Ann", "lastName": "Lee"}},
            loyalty={"points": "7"},
        )
        rows = (FIRST_ROW, POINTS_ROW, row("joined", "Since"))
        assert update(profile, *rows) == ContactUpdate(
            "c-1",
            {EMAIL: Value("ann@mail.test", ARRIVED), FIRST: Value("Ann", ARRIVED), POINTS: Value(7, ARRIVED)},
            {},
        )

    def test_a_constant_and_an_identity(self) -> None:
        profile = profile_of(identityMap={"contactKey": [{"id": "c-1"}], "nick": [{"id": "annie"}]})
        rows = (row("nick", "First Name", kind="identity"), row("2026-01-01", "Since", kind="const"))
        assert update(profile, *rows).values == {
            FIRST: Value("annie", ARRIVED), MEMBER_SINCE: Value("2026-01-01", ARRIVED),
        }  # fmt: skip

    @pytest.mark.parametrize(("value", "text"), [("Ann", "Ann"), ("ü", "ü"), (7, "7"), (True, "true")])
    def test_sha256_is_that_of_the_text(self, value: object, text: str) -> None:
        hashed = Catalog.of([attribute("First Name", length=64), EMAIL_ADDRESS], fetched_at_ms=0)
        mapping = compile_mapping(destination(row("nick", "First Name", transform="sha256")), hashed)
        found = mapping.resolve(profile_of(nick=value), occurred_at_ms=ARRIVED, arrived_at_ms=NOW, now_ms=NOW)
        assert isinstance(found, ContactUpdate)
        assert found.values[FIRST].value == hashlib.sha256(text.encode()).hexdigest()

    @pytest.mark.parametrize(
        ("profile", "detail"),
        [
            ({"personalEmail": {"address": "ann"}}, f"mapping[1] {EMAIL}: is not an email address"),
            ({"person": {"name": {"firstName": "A" * 21}}}, f"mapping[2] {FIRST}: is longer than 20 characters"),
            ({"person": {"name": {"firstName": {}}}}, f"mapping[2] {FIRST}: is a list or an object, not one value"),
            ({"loyalty": {"points": "many"}}, f"mapping[3] {POINTS}: is not a whole number"),
        ],
    )
    def test_a_value_that_does_not_fit_excludes_the_profile_and_names_the_row(
        self, profile: dict[str, Any], detail: str
    ) -> None:
        found = resolve(profile_of(**profile), FIRST_ROW, POINTS_ROW, invalid_values="exclude")
        assert found == Excluded(Reason.INVALID_VALUE, detail)

    def test_a_list_cannot_be_hashed(self) -> None:
        found = resolve(profile_of(nick=["Ann"]), row("nick", "First Name", transform="sha256"))
        assert found == Excluded(
            Reason.INVALID_VALUE, f"mapping[2] {FIRST}: is a list or an object, not one value"
        )  # fmt: skip

    def test_a_path_through_text_is_malformed(self) -> None:
        found = resolve(profile_of(person="Ann"), FIRST_ROW)
        assert found == Excluded(Reason.MALFORMED_PROFILE, "person is not an object")

    @pytest.mark.parametrize("profile", [{}, {"person": None}, {"person": {"name": {"firstName": None}}}])
    def test_a_profile_that_mentions_nothing_mapped(self, profile: dict[str, Any]) -> None:
        assert resolve(profile_of(**profile), FIRST_ROW) == Excluded(Reason.NOTHING_MAPPED)

    def test_the_options_reach_the_check(self) -> None:
        rows = (FIRST_ROW, row("joined", "Since"))
        profile = profile_of(person={"name": {"firstName": "Łukasz"}}, joined="2026-02-28")
        assert update(profile, *rows, date_format="%d.%m.%Y").values[MEMBER_SINCE].value == "28.02.2026"
        found = resolve(profile, *rows, characters="documented", invalid_values="exclude")
        assert isinstance(found, Excluded)
        assert found.detail.startswith(f"mapping[2] {FIRST}: ")

    @pytest.mark.parametrize(("character", "documented"), [("\x1f", False), (" ", True), ("þ", True), ("ÿ", False)])
    def test_the_ends_of_the_documented_characters(self, character: str, documented: bool) -> None:
        profile = profile_of(person={"name": {"firstName": character}})
        found = resolve(profile, FIRST_ROW, characters="documented")
        assert isinstance(found, ContactUpdate) is documented
        assert isinstance(resolve(profile, FIRST_ROW), ContactUpdate)


class TestNulls:
    NULL = {"person": {"name": {"firstName": None}}, "personalEmail": {"address": "ann@mail.test"}}

    def test_by_default_null_does_not_mention(self) -> None:
        assert FIRST not in update(profile_of(**self.NULL), FIRST_ROW).values

    def test_with_clear_nulls_it_empties_the_attribute(self) -> None:
        assert update(profile_of(**self.NULL), FIRST_ROW, clear_nulls=True).values[FIRST] == Value("", ARRIVED)

    def test_but_not_one_that_requires_a_value(self) -> None:
        found = resolve(profile_of(loyalty={"points": None}), FIRST_ROW, POINTS_ROW, clear_nulls=True)
        assert found == Excluded(
            Reason.INVALID_VALUE, f"mapping[3] {POINTS}: is null, and the attribute requires a value"
        )  # fmt: skip

    def test_nor_does_null_hash_to_anything(self) -> None:
        rows = (row("person.name.firstName", "First Name", transform="sha256"),)
        assert update(profile_of(**self.NULL), *rows, clear_nulls=True).values[FIRST].value == ""

    def test_what_is_missing_is_not_null(self) -> None:
        profile = profile_of(personalEmail={"address": "ann@mail.test"})
        assert update(profile, FIRST_ROW, POINTS_ROW, clear_nulls=True).values == {
            EMAIL: Value("ann@mail.test", ARRIVED)
        }  # fmt: skip


class TestVersions:
    @pytest.mark.parametrize(
        ("occurred_at", "version_ms"),
        [
            (None, ARRIVED),
            (EARLIER_TEXT, EARLIER),
            ("2026-11-22T10:00:00.000+0000", NOW),
            (LATER_TEXT, NOW),  # a time in the future counts as now
        ],
    )
    def test_of_a_value_it_is_occurred_at_or_what_is_handed_in(self, occurred_at: str | None, version_ms: int) -> None:
        profile = profile_of(person={"name": {"firstName": "Ann"}}, occurredAt=occurred_at)
        assert update(profile, FIRST_ROW).values[FIRST].version_ms == version_ms

    def test_one_handed_in_from_the_future_counts_as_now(self) -> None:
        mapping = compile_mapping(destination(FIRST_ROW), CATALOG)
        profile = profile_of(person={"name": {"firstName": "Ann"}})
        found = mapping.resolve(profile, occurred_at_ms=NOW + 1, arrived_at_ms=NOW, now_ms=NOW)
        assert isinstance(found, ContactUpdate)
        assert found.values[FIRST].version_ms == NOW

    @pytest.mark.parametrize("occurred_at", ["yesterday", "2026-11-22", 5, True, ""])
    def test_an_occurred_at_that_is_no_time(self, occurred_at: object) -> None:
        profile = profile_of(person={"name": {"firstName": "Ann"}}, occurredAt=occurred_at)
        assert resolve(profile, FIRST_ROW) == Excluded(Reason.MALFORMED_PROFILE, "occurredAt is not a time")

    @pytest.mark.parametrize(("since", "version_ms"), [(None, ARRIVED), (EARLIER_TEXT, EARLIER), (LATER_TEXT, NOW)])
    def test_of_a_status_it_is_its_own_time(self, since: str | None, version_ms: int) -> None:
        profile = profile_of(**member(s1=is_("realized", since)))
        found = update(profile, segments=(Segment("s1", "renters"),))
        assert found.values == {RENTERS: Value("realized", version_ms)}

    def test_occurred_at_is_the_time_of_a_status_that_has_none(self) -> None:
        profile = profile_of(**member(s1=is_("realized"), s2=is_("exited", LATER_TEXT)), occurredAt=EARLIER_TEXT)
        found = update(profile, segments=(Segment("s1", "renters"), Segment("s2", "owners")))
        assert found.values == {RENTERS: Value("realized", EARLIER), OWNERS: Value("exited", NOW)}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_remedy(reason: Reason) -> None:
    assert reason.remedy.endswith(".")
    assert ";" in reason.remedy, "what is the case, and what to do"
