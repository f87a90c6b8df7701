"""Compiling a mapping, the body of a call, and what holds for whatever profile comes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.destinations.model import Segment
from app.errors import UsageError
from app.mapping.catalog import HTML_ENABLED
from app.mapping.compiled import CompiledMapping, compile_mapping
from app.mapping.update import Excluded
from tests.unit.mapping.campaign import (
    ARRIVED,
    CATALOG,
    EARLIER_TEXT,
    EMAIL,
    FIRST,
    FIRST_ROW,
    LATER_TEXT,
    NOW,
    POINTS,
    POINTS_ROW,
    RENTERS,
    destination,
    row,
)


class TestCompiling:
    def test_a_mapping_that_does_not_fit_names_every_row_and_what_was_meant(self) -> None:
        wrong = destination(row("a", "first name"), row("b", "Points"), segments=(Segment("s1", "Renters"),))
        with pytest.raises(UsageError, match="mapping of demo does not fit") as refused:
            compile_mapping(wrong, CATALOG)
        one, two = refused.value.problems
        assert one.startswith("mapping[2].target: ")
        assert "Did you mean 'First Name'?" in one
        assert two.startswith("segments[0].mapping_id: ")
        assert "Did you mean 'renters'?" in two

    def test_a_warning_does_not_stand_in_the_way(self) -> None:
        segments = tuple(Segment(f"s{number}", "renters") for number in range(251))
        assert isinstance(compile_mapping(destination(segments=segments), CATALOG), CompiledMapping)


class TestBody:
    MAPPING = compile_mapping(destination(FIRST_ROW, POINTS_ROW, segments=(Segment("s1", "renters"),)), CATALOG)

    def test_the_shape_of_a_call(self) -> None:
        values: dict[str, Any] = {FIRST: "Ann", EMAIL: "ann@mail.test", POINTS: 7, HTML_ENABLED.qualified: True}
        assert orjson.loads(self.MAPPING.body("c-1", values)) == {
            "contactKey": "c-1",
            "attributeSets": [
                {
                    "name": "Email Addresses",
                    "items": [
                        {
                            "values": [
                                {"name": "Email Address", "value": "ann@mail.test"},
                                {"name": "HTML Enabled", "value": True},
                            ]
                        }
                    ],
                },
                {
                    "name": "Email Demographics",
                    "items": [{"values": [{"name": "First Name", "value": "Ann"}, {"name": "Points", "value": 7}]}],
                },
            ],
        }

    @given(st.permutations([FIRST, EMAIL, POINTS, RENTERS]).flatmap(lambda names: st.sampled_from([names[:n] for n in range(1, 5)])))  # fmt: skip  # noqa: E501  # reads as one
    def test_each_set_once_the_addresses_first_and_every_value_in_it(self, names: list[str]) -> None:
        body = orjson.loads(self.MAPPING.body("c-1", {name: f"of {name}" for name in names}))
        sets = [item["name"] for item in body["attributeSets"]]
        assert sets == sorted({name.split(".")[0] for name in names})  # Addresses before Demographics
        told = [
            (f"{group['name']}.{item['name']}", item["value"])
            for group in body["attributeSets"]
            for item in group["items"][0]["values"]
        ]
        assert sorted(told) == sorted((name, f"of {name}") for name in names)


WIDE = compile_mapping(
    destination(FIRST_ROW, POINTS_ROW, row("joined", "Since"), segments=(Segment("s1", "renters"), Segment("s2", "owners"))),
    CATALOG,
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e15, 1e15)
secrets = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=25)
anything: st.SearchStrategy[Any] = st.recursive(
    scalars | secrets,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(secrets, inner, max_size=2),
    max_leaves=5,
)


def objects(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly an object of these keys, each of which may be missing; now and then anything else."""
    return st.fixed_dictionaries({}, optional=keys) | anything


memberships = objects(
    status=st.sampled_from(["realized", "existing", "exited"]) | anything,
    lastQualificationTime=st.sampled_from([EARLIER_TEXT, LATER_TEXT]) | anything,
)
profiles = objects(
    identityMap=st.just({"contactKey": [{"id": "c-1"}]})
    | objects(contactKey=st.lists(objects(id=secrets | anything, primary=st.booleans()), max_size=2) | anything),
    personalEmail=objects(address=st.just("ann@mail.test") | anything),
    person=objects(name=objects(firstName=secrets | anything)),
    loyalty=objects(points=anything),
    joined=st.just("2026-02-28") | anything,
    occurredAt=st.sampled_from([EARLIER_TEXT, LATER_TEXT]) | anything,
    segmentMembership=objects(ups=objects(s1=memberships, s2=memberships)),
)


@given(profiles)
def test_whatever_comes_becomes_an_update_that_can_be_sent_or_an_exclusion_that_quotes_nothing(profile: Any) -> None:
    found = WIDE.resolve(profile, occurred_at_ms=ARRIVED, arrived_at_ms=NOW, now_ms=NOW)
    if isinstance(found, Excluded):
        assert found.detail.isascii()  # every text of the profile is not
        return
    assert found.values
    assert max(value.version_ms for value in found.values.values()) <= NOW
    body = orjson.loads(WIDE.body(found.contact_key, {name: value.value for name, value in found.values.items()}))
    assert body["contactKey"] == found.contact_key
    assert sum(len(group["items"][0]["values"]) for group in body["attributeSets"]) == len(found.values)
