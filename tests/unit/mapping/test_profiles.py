"""Reading profiles: nested values, identities, memberships; what is malformed is named by its place alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.xdm import (
    MISSING,
    MalformedProfile,
    Membership,
    Memberships,
    identities,
    namespaces,
    value_at,
    with_identity,
)

SEGMENT = "7841ba61-23c1-4bb3-a495-00d3e5fe1e93"


PERSON = {"name": {"firstName": "Ann", "lastName": None}, "xdm:nick": "Nan", "tags": ["a"], "age": 0}


class TestValues:
    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("person.name.firstName", "Ann"),
            ("person.nick", "Nan"),
            ("person.age", 0),
            ("person.tags", ["a"]),
            ("person.name.lastName", None),
            ("person.name.middleName", MISSING),
            ("person.email.address", MISSING),
            ("nobody.at.all", MISSING),
            ("person.name.lastName.anything", MISSING),  # null goes no further
        ],
    )
    def test_a_path_leads_to_its_value(self, path: str, value: object) -> None:
        found = value_at({"person": PERSON}, tuple(path.split(".")))
        assert found == value
        assert (found is None) is (value is None)

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=6), st.integers())
    def test_any_key_of_the_path_may_carry_the_prefix(self, steps: list[tuple[str, bool]], value: int) -> None:
        profile: Any = value
        for key, prefixed in reversed(steps):
            profile = {f"xdm:{key}" if prefixed else key: profile}
        assert value_at(profile, tuple(key for key, _ in steps)) == value

    def test_the_plain_key_counts_where_both_are(self) -> None:
        assert value_at({"xdm:a": 1, "a": 2}, ("a",)) == 2
        assert value_at({"xdm:a": 1, "a": None}, ("a",)) is None

    @pytest.mark.parametrize(
        ("path", "value"),
        [(("emails", 0, "address"), "a@b.test"), (("emails", 1, "address"), MISSING), (("emails", 7), MISSING),
         (("none", 0), MISSING), (("missing", 0), MISSING), (("nested", 1, 0), 5)],
    )  # fmt: skip
    def test_positions_in_lists(self, path: tuple[str | int, ...], value: object) -> None:
        profile = {"emails": [{"address": "a@b.test"}, None], "none": None, "nested": [[], [5]]}
        assert value_at(profile, path) == value

    @pytest.mark.parametrize("what", ["Ann", 7, {"0": "Ann"}])
    def test_a_position_in_what_is_no_list_is_malformed(self, what: object) -> None:
        with pytest.raises(MalformedProfile, match=r"^person\.name is not a list$"):
            value_at({"person": {"name": what}}, ("person", "name", 0))

    @pytest.mark.parametrize("what", ["Ann", 7, True, ["Ann"]])
    def test_a_path_through_what_is_no_object_is_malformed(self, what: object) -> None:
        with pytest.raises(MalformedProfile, match=r"^person\.name is not an object$"):
            value_at({"person": {"name": what}}, ("person", "name", "firstName"))


def with_ids(*items: object) -> dict[str, Any]:
    return {"identityMap": {"contactKey": [*items], "email": [{"id": "other"}]}}


class TestIdentities:
    @pytest.mark.parametrize(
        ("profile", "ids"),
        [
            ({}, ()),
            ({"identityMap": None}, ()),
            ({"identityMap": {}}, ()),
            ({"identityMap": {"contactKey": None}}, ()),
            (with_ids(), ()),
            (with_ids({"id": "c-1"}), ("c-1",)),
            (with_ids({"xdm:id": "c-1"}), ("c-1",)),
            ({"xdm:identityMap": {"contactKey": [{"id": "c-1"}]}}, ("c-1",)),
            (with_ids({"id": 1001}), ("1001",)),
            (with_ids({"id": "c-1"}, {"id": "c-2"}), ("c-1", "c-2")),
            (with_ids({"id": "c-2"}, {"id": "c-1"}), ("c-1", "c-2")),  # in no order, so sorted
            (with_ids({"id": "c-1"}, {"id": "c-1"}), ("c-1",)),
            (with_ids({"id": "c-1"}, {"id": "c-2", "primary": True}), ("c-2",)),
            (with_ids({"id": "c-3", "primary": True}, {"id": "c-1"}, {"id": "c-2", "primary": True}), ("c-2", "c-3")),
            (with_ids({"id": "c-1"}, {"id": "c-2", "primary": False}), ("c-1", "c-2")),
            (with_ids({"id": "c-1"}, {"id": "c-2", "primary": "true"}), ("c-1", "c-2")),
            (with_ids({"id": ""}, {"id": "  "}, {"id": "c-3"}), ("c-3",)),
            (with_ids({"id": "", "primary": True}, {"id": "c-2"}), ("c-2",)),
        ],
    )
    def test_the_different_ids_and_only_primary_ones_if_there_are(
        self, profile: dict[str, Any], ids: tuple[str, ...]
    ) -> None:
        assert identities(profile, "contactKey") == ids

    @pytest.mark.parametrize("namespace", ["contactkey", "ContactKey", "CONTACTKEY"])
    def test_namespaces_match_without_case(self, namespace: str) -> None:
        assert identities(with_ids({"id": "c-1"}), namespace) == ("c-1",)
        assert identities({"identityMap": {namespace: [{"id": "c-1"}]}}, "contactKey") == ("c-1",)

    def test_a_namespace_in_two_spellings_is_one(self) -> None:
        profile = {"identityMap": {"ECID": [{"id": "b"}], "ecid": [{"id": "a"}], "Ecid": None}}
        assert identities(profile, "ECID") == ("a", "b")

    def test_a_namespace_may_carry_the_prefix_as_any_key(self) -> None:
        profile = {"identityMap": {"xdm:crm": [{"id": "b"}], "CRM": [{"id": "a"}]}}
        assert identities(profile, "crm") == ("a", "b")
        assert identities(with_identity(profile, "crm", "b"), "crm") == ("b",)

    def test_a_profile_with_one_identity_alone(self) -> None:
        profile = {"xdm:identityMap": {"CRM": [{"id": "a"}], "crm": [{"id": "b"}], "x": [{"id": "y"}]}, "person": {}}
        assert with_identity(profile, "Crm", "b") == {
            "person": {}, "identityMap": {"x": [{"id": "y"}], "Crm": [{"id": "b"}]},
        }  # fmt: skip
        assert identities(with_identity(profile, "Crm", "b"), "crm") == ("b",)
        assert namespaces(profile) == ("CRM", "crm", "x")

    @pytest.mark.parametrize(
        ("identity_map", "place"),
        [
            ("c-1", r"^identityMap is not an object$"),
            ([], r"^identityMap is not an object$"),
            ({"contactKey": "c-1"}, r"^identityMap\.contactKey is not a list$"),
            ({"contactKey": {"id": "c-1"}}, r"^identityMap\.contactKey is not a list$"),
            ({"contactKey": ["c-1"]}, r"^identityMap\.contactKey has an entry without an id$"),
            ({"contactKey": [None]}, r"^identityMap\.contactKey has an entry without an id$"),
            ({"contactKey": [{}]}, r"^identityMap\.contactKey has an entry without an id$"),
            ({"contactKey": [{"id": None}]}, r"^identityMap\.contactKey has an entry without an id$"),
            ({"contactKey": [{"id": True}]}, r"^identityMap\.contactKey has an entry without an id$"),
            ({"contactKey": [{"id": 1.5}]}, r"^identityMap\.contactKey has an entry without an id$"),
            ({"contactKey": [{"id": ["c-1"]}]}, r"^identityMap\.contactKey has an entry without an id$"),
            ({"contactKey": [{"id": "c-1"}, {}]}, r"^identityMap\.contactKey has an entry without an id$"),
        ],
    )
    def test_another_shape_is_malformed(self, identity_map: object, place: str) -> None:
        with pytest.raises(MalformedProfile, match=place):
            identities({"identityMap": identity_map}, "contactKey")


def in_segment(item: object) -> dict[str, Any]:
    return {"segmentMembership": {"ups": {SEGMENT: item}}}


class TestMemberships:
    @pytest.mark.parametrize("status", ["realized", "existing", "exited", "anything"])
    def test_the_status_with_the_time_since_when(self, status: str) -> None:
        item = {"status": status, "lastQualificationTime": "2026-11-22T10:00:00Z"}
        assert Memberships(in_segment(item)).of("ups", SEGMENT) == Membership(status, 1_795_341_600_000)

    @pytest.mark.parametrize("item", [{"status": "realized"}, {"status": "realized", "lastQualificationTime": None}])
    def test_a_status_without_a_time(self, item: dict[str, Any]) -> None:
        assert Memberships(in_segment(item)).of("ups", SEGMENT) == Membership("realized", None)

    @pytest.mark.parametrize("others", [{}, {"UPS": {}}, {"UPS": None}, {"UPS": {"another": {"status": "exited"}}}])
    @pytest.mark.parametrize("spelt", ["Ups", "xdm:ups", "xdm:Ups"])
    def test_namespaces_of_segments_match_without_case_and_prefix(self, spelt: str, others: dict[str, Any]) -> None:
        for found in (
            {spelt: {SEGMENT: {"status": "realized"}}} | others,
            others | {spelt: {SEGMENT: {"status": "realized"}}},
        ):
            assert Memberships({"segmentMembership": found}).of("UPS", SEGMENT) == Membership("realized", None)

    def test_the_namespaces_of_a_profile_are_folded_once(self) -> None:
        class Looked(dict[str, Any]):
            times = 0

            def items(self) -> Any:
                self.times += 1
                return super().items()

        many = Looked({f"foreign-{number}": {} for number in range(100)})
        found = Memberships({"segmentMembership": many})
        assert [found.of("ups", f"seg-{number}") for number in range(50)] == [None] * 50
        assert many.times == 1

    def test_prefixed_keys(self) -> None:
        profile = {"xdm:segmentMembership": {"ups": {SEGMENT: {"xdm:status": "exited"}}}}
        assert Memberships(profile).of("ups", SEGMENT) == Membership("exited", None)

    @pytest.mark.parametrize(
        "profile",
        [
            {},
            {"segmentMembership": None},
            {"segmentMembership": {"ups": None}},
            {"segmentMembership": {"ups": {}}},
            {"segmentMembership": {"AAM": {SEGMENT: {"status": "realized"}}}},
            {"segmentMembership": {"ups": {SEGMENT.upper(): {"status": "realized"}}}},
            {"segmentMembership": {"UPS": {}}},
            in_segment(None),
        ],
    )
    def test_a_segment_that_is_not_mentioned(self, profile: dict[str, Any]) -> None:
        assert Memberships(profile).of("ups", SEGMENT) is None

    @pytest.mark.parametrize(
        ("profile", "place"),
        [
            ({"segmentMembership": []}, r"^segmentMembership is not an object$"),
            ({"segmentMembership": {"ups": "x"}}, r"^segmentMembership\.ups is not an object$"),
            (in_segment("realized"), rf"^segmentMembership\.ups\.{SEGMENT} has no status$"),
            (in_segment({}), rf"^segmentMembership\.ups\.{SEGMENT} has no status$"),
            (in_segment({"status": None}), rf"^segmentMembership\.ups\.{SEGMENT} has no status$"),
            (in_segment({"status": 1}), rf"^segmentMembership\.ups\.{SEGMENT} has no status$"),
            (
                in_segment({"status": "exited", "lastQualificationTime": "2026-11-22"}),
                rf"^segmentMembership\.ups\.{SEGMENT}\.lastQualificationTime is not a time$",
            ),
        ],
    )
    def test_another_shape_is_malformed(self, profile: dict[str, Any], place: str) -> None:
        with pytest.raises(MalformedProfile, match=place):
            Memberships(profile).of("ups", SEGMENT)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "status", "ups", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_whatever_the_shape_it_is_read_or_malformed(value: Any) -> None:
    """No other exception, for none but these is told from a defect."""
    profile = {"identityMap": value, "segmentMembership": value, "person": value}
    for read in (
        lambda: identities(profile, "a"),
        lambda: Memberships(profile).of("ups", "a"),
        lambda: value_at(profile, ("person", "a", "id")),
    ):
        try:
            read()
        except MalformedProfile as malformed:
            said = str(malformed)
        else:
            continue
        assert said.startswith(("identityMap", "segmentMembership", "person"))
