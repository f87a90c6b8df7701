"""What absent, empty, null and bad values mean, as the options of a destination say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.destinations.model import MappingRow, Segment, Source, Target
from app.mapping.catalog import Catalog
from app.mapping.compiled import compile_mapping
from app.mapping.update import ContactUpdate, Excluded, LeftOut, Reason, Value
from tests.unit.mapping.campaign import (
    ARRIVED,
    CATALOG,
    DEMOGRAPHICS,
    EMAIL,
    FIRST,
    FIRST_ROW,
    MEMBER_SINCE,
    NOW,
    OWNERS,
    POINTS_ROW,
    RENTERS,
    destination,
    is_,
    member,
    profile_of,
    resolve,
    row,
    update,
)

SINCE_ROW = row("joined", "Since")
ADDRESS = {"personalEmail": {"address": "ann@mail.test"}}
SEGMENTS = (Segment("s1", "renters"), Segment("s2", "owners"))


def first(value: Any) -> dict[str, Any]:
    return profile_of(person={"name": {"firstName": value}}, **ADDRESS)


class TestComplete:
    def test_what_is_absent_is_emptied_where_it_may_be(self) -> None:
        found = update(profile_of(**ADDRESS), FIRST_ROW, POINTS_ROW, SINCE_ROW, profiles="complete")
        assert found.values == {
            EMAIL: Value("ann@mail.test", ARRIVED),
            FIRST: Value("", ARRIVED),
            MEMBER_SINCE: Value("", ARRIVED),  # Points requires a value, and is left
        }

    @pytest.mark.parametrize("value", [None, ""])
    def test_null_and_empty_text_are_absent(self, value: Any) -> None:
        assert update(first(value), FIRST_ROW, profiles="complete").values[FIRST] == Value("", ARRIVED)
        assert FIRST not in update(first(value), FIRST_ROW).values

    def test_the_email_and_statuses_are_left(self) -> None:
        found = update(
            profile_of(person={"name": {"firstName": "A"}}), FIRST_ROW, profiles="complete", segments=SEGMENTS
        )
        assert found.values == {FIRST: Value("A", ARRIVED)}

    @pytest.mark.parametrize("profile", [profile_of(), profile_of(personalEmail={"address": ""})])
    def test_the_email_is_left_though_its_set_says_that_it_may_be_empty(self, profile: dict[str, Any]) -> None:
        nullable = replace(CATALOG.attributes[EMAIL], is_nullable=True)
        catalog = Catalog.of([nullable, *CATALOG.attributes.values()], fetched_at_ms=0)
        mapping = compile_mapping(destination(FIRST_ROW, profiles="complete", clear_nulls=True), catalog)
        found = mapping.resolve(profile, occurred_at_ms=ARRIVED, arrived_at_ms=NOW, now_ms=NOW)
        assert isinstance(found, ContactUpdate)
        assert found.values == {FIRST: Value("", ARRIVED)}

    def test_a_bad_value_is_not_absent(self) -> None:
        found = update(first("A" * 21), FIRST_ROW, profiles="complete")
        assert found.values == {EMAIL: Value("ann@mail.test", ARRIVED)}
        assert found.left_out == (LeftOut(f"mapping[2] {FIRST}", "is longer than 20 characters"),)


class TestEmptyText:
    @pytest.mark.parametrize("options", [{}, {"invalid_values": "exclude"}])
    def test_it_is_absent(self, options: dict[str, Any]) -> None:
        profile = first("") | {"loyalty": {"points": ""}, "joined": ""}
        found = update(profile, FIRST_ROW, POINTS_ROW, SINCE_ROW, **options)
        assert found == ContactUpdate("c-1", {EMAIL: Value("ann@mail.test", ARRIVED)}, {})

    def test_with_clear_nulls_it_empties_text_and_nothing_else(self) -> None:
        profile = first("") | {"loyalty": {"points": ""}, "joined": ""}
        found = update(profile, FIRST_ROW, POINTS_ROW, SINCE_ROW, clear_nulls=True)
        assert found.values == {EMAIL: Value("ann@mail.test", ARRIVED), FIRST: Value("", ARRIVED)}

    @pytest.mark.parametrize("nothing", ["", None])
    def test_an_empty_address_is_no_address(self, nothing: Any) -> None:
        found = update(profile_of(personalEmail={"address": nothing}, person={"name": {"firstName": "A"}}), FIRST_ROW)
        assert found.values == {FIRST: Value("A", ARRIVED)}

    @pytest.mark.parametrize("value", [0, False, "0", " "])
    def test_what_only_looks_empty_is_a_value(self, value: Any) -> None:
        assert FIRST in update(first(value), FIRST_ROW).values


class TestInvalidValues:
    BAD = first(["a", "list"]) | member(s1=is_("realized"), s2=is_("pending"))

    def test_they_are_left_out_and_the_rest_is_sent(self) -> None:
        found = update(self.BAD, FIRST_ROW, segments=SEGMENTS)
        assert found.values == {EMAIL: Value("ann@mail.test", ARRIVED), RENTERS: Value("realized", ARRIVED)}
        assert found.statuses == {"s1": "realized"}
        assert [str(one) for one in found.left_out] == [
            f"mapping[2] {FIRST}: is a list or an object, not one value",
            f"segments[1] {OWNERS}: segment s2 has a status that is none of realized, existing, exited",
        ]

    def test_or_the_profile_is_excluded(self) -> None:
        found = resolve(self.BAD, FIRST_ROW, segments=SEGMENTS, invalid_values="exclude")
        assert found == Excluded(
            Reason.INVALID_VALUE, f"mapping[2] {FIRST}: is a list or an object, not one value"
        )  # fmt: skip

    def test_or_the_profile_is_excluded_for_a_status(self) -> None:
        found = resolve(profile_of(**member(s2=is_("pending")), **ADDRESS), segments=SEGMENTS, invalid_values="exclude")
        why = "segment s2 has a status that is none of realized, existing, exited"
        assert found == Excluded(Reason.INVALID_VALUE, f"segments[1] {OWNERS}: {why}")

    @pytest.mark.parametrize(
        "profile",
        [first("A") | {"loyalty": {"points": "many"}}, first("A") | {"personalEmail": {"address": "nobody"}}],
    )
    def test_a_bad_value_of_what_is_required_excludes(self, profile: dict[str, Any]) -> None:
        found = resolve(profile, FIRST_ROW, POINTS_ROW)
        assert isinstance(found, Excluded)
        assert found.reason is Reason.INVALID_VALUE

    def test_nothing_but_bad_values_excludes(self) -> None:
        found = resolve(profile_of(person={"name": {"firstName": {}}}), FIRST_ROW)
        assert found == Excluded(
            Reason.INVALID_VALUE, f"mapping[2] {FIRST}: is a list or an object, not one value"
        )  # fmt: skip

    def test_segments_that_share_a_field_stand_or_fall_together(self) -> None:
        shared = (Segment("s1", "renters"), Segment("s2", "renters"))
        found = update(self.BAD, segments=shared)
        assert RENTERS not in found.values
        assert found.statuses == {}

    @given(
        st.dictionaries(
            st.sampled_from(["joined", "nick"]), st.none() | st.text(max_size=25) | st.integers() | st.just(["x"])
        )
    )
    def test_leaving_out_sends_what_excluding_would_and_hides_no_value(self, values: dict[str, Any]) -> None:
        rows = (row("nick", "First Name"), SINCE_ROW)
        kind = resolve(profile_of(**values, **ADDRESS), *rows)
        strict = resolve(profile_of(**values, **ADDRESS), *rows, invalid_values="exclude")
        assert isinstance(kind, ContactUpdate)
        assert kind.values[EMAIL].value == "ann@mail.test"
        if isinstance(strict, ContactUpdate):
            assert kind == strict
        else:
            assert strict.detail == str(kind.left_out[0])


class TestFallbacks:
    ROW = MappingRow(
        Source("xdm", "emails[0].name"), Target("attribute", DEMOGRAPHICS, "First Name"),
        fallbacks=(Source("xdm", "props['nick name']"), Source("identity", "nick"), Source("const", "friend")),
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("profile", "value", "source"),
        [
            ({"emails": [{"name": "Ann"}], "props": {"nick name": "Nan"}}, "Ann", "xdm: emails[0].name"),
            ({"emails": [], "props": {"nick name": "Nan"}}, "Nan", "xdm: props['nick name']"),
            ({"emails": [{"name": None}], "props": {"nick name": "Nan"}}, "Nan", "xdm: props['nick name']"),
            ({"emails": [{"name": ""}], "props": {"nick name": "Nan"}}, "Nan", "xdm: props['nick name']"),
            ({"emails": "none"}, "friend", "const: friend"),
            ({}, "friend", "const: friend"),
        ],
    )
    def test_the_first_that_has_a_value(self, profile: dict[str, Any], value: str, source: str) -> None:
        assert update(profile_of(**profile), self.ROW).values[FIRST].value == value
        mapping = compile_mapping(destination(self.ROW), CATALOG)
        assert mapping.read_from(profile_of(**profile))[FIRST].source == source

    def test_null_empties_when_no_source_has_a_value(self) -> None:
        both = MappingRow(Source("xdm", "a"), self.ROW.target, fallbacks=(Source("xdm", "b"),))
        assert update(profile_of(b=None, **ADDRESS), both, clear_nulls=True).values[FIRST].value == ""
        assert update(profile_of(a=None, **ADDRESS), both, clear_nulls=True).values[FIRST].value == ""
        assert update(profile_of(a=None, b="B"), both, clear_nulls=True).values[FIRST].value == "B"

    @pytest.mark.parametrize(
        ("profile", "source"), [({}, "a"), ({"a": None, "b": ""}, "a"), ({"b": None}, "b"), ({"a": "", "b": None}, "a")]
    )
    def test_where_no_source_has_a_value_the_first_that_says_anything_counts(
        self, profile: dict[str, Any], source: str
    ) -> None:
        both = MappingRow(Source("xdm", "a"), self.ROW.target, fallbacks=(Source("xdm", "b"),))
        read_from = compile_mapping(destination(both), CATALOG).read_from(profile_of(**profile))
        assert read_from[FIRST].source == f"xdm: {source}"

    def test_none_that_can_be_read_is_malformed(self) -> None:
        both = MappingRow(Source("xdm", "a.x"), self.ROW.target, fallbacks=(Source("xdm", "b.x"),))
        assert resolve(profile_of(a="A", b="B"), both) == Excluded(Reason.MALFORMED_PROFILE, "a is not an object")
        assert resolve(profile_of(a="A", **ADDRESS), both) == update(profile_of(**ADDRESS), both)


def test_of_several_ids_an_attribute_has_the_same_one_whatever_their_order() -> None:
    nick = row("nick", "First Name", kind="identity")
    for ids in (["b", "a"], ["a", "b"]):
        profile = {"identityMap": {"contactKey": [{"id": "c-1"}], "NICK": [{"id": one} for one in ids]}}
        assert update(profile, nick).values[FIRST].value == "a"
