from __future__ import annotations

import pytest

from app.destinations.model import Account, Destination, Segment
from app.mapping.catalog import EMAIL_ADDRESS, HTML_ENABLED, Attribute, Catalog, parse_definitions
from app.mapping.problems import find_problems


def parse(*items) -> Catalog:
    return parse_definitions(items, fetched_at_ms=5)


def demographics(*attributes, **more):
    return {"key": "EmailDemographics", "name": {"value": "Email Demographics"}, "attributes": [*attributes]} | more


FIRST = Attribute("Email Demographics", "EmailDemographics", "First Name", "FirstName", "Text", length=100)


def test_an_attribute_with_all_it_can_have():
    (found, *_) = parse(
        demographics(
            {
                "key": "Transaction Points1",
                "name": {"value": "Transaction Points"},
                "dataType": "Text",
                "length": 256,
                "isNullable": False,
                "isReadOnly": True,
                "isHidden": True,
                "isPrimaryKey": True,
                "restrictedValues": ["a", 2],
            }
        )
    ).attributes.values()
    assert found == Attribute(
        "Email Demographics",
        "EmailDemographics",
        "Transaction Points",
        "Transaction Points1",
        "Text",
        length=256,
        is_nullable=False,
        is_read_only=True,
        is_hidden=True,
        is_primary_key=True,
        restricted_values=("a", "2"),
    )


PLAIN = {"key": "FirstName", "name": "First Name", "dataType": "Text", "length": 100}


@pytest.mark.parametrize(
    "item",
    [
        demographics(PLAIN),
        demographics(PLAIN, name="Email Demographics"),
        demographics(PLAIN | {"name": {"value": "First Name"}}),
        demographics(PLAIN | {"length": "100"}),
        demographics(PLAIN | {"isNullable": "true", "isHidden": "false", "restrictedValues": None}),
        {"item": demographics(PLAIN)},
        {"attributeSetDefinition": demographics(PLAIN)},
        {"definitionKey": "EmailDemographics", "definitionName": {"value": "x"}, "valueDefinitions": [PLAIN]},
        {"key": "", "name": {"value": "Email Demographics"}, "attributes": [PLAIN | {"x": 1}], "key2": 1}
        | {"key": "EmailDemographics"},
        demographics(
            {
                "definitionKey": "FirstName",
                "definitionName": {"value": "First Name"},
                "dataType": "Text",
                "length": 100,
            }
        ),
        demographics("junk", None, {"key": "", "name": None}, PLAIN),
    ],
)
def test_each_spelling_reads_the_same(item):
    assert parse(item).attributes["Email Demographics.First Name"] == FIRST


def test_an_attribute_without_a_name_goes_by_its_key():
    found = parse(demographics({"key": "Market", "dataType": "Text", "length": -1})).attributes
    assert found["Email Demographics.Market"].length == -1


@pytest.mark.parametrize("junk", [None, "x", [], {}, {"key": "EmailDemographics", "attributes": "x"}])
def test_what_cannot_be_read_is_left_out(junk):
    assert list(parse(junk).attributes) == [EMAIL_ADDRESS.qualified, HTML_ENABLED.qualified]


def test_other_sets_are_left_out():
    other = {"key": "Contact", "name": {"value": "Contact"}, "attributes": [PLAIN]}
    assert "Contact.First Name" not in parse(other).attributes


def test_similar_names_stay_apart_and_the_first_of_a_name_counts():
    found = parse(
        demographics(PLAIN, {"key": "a", "name": "Account Id"}, {"key": "b", "name": "AccountId"}),
        demographics(PLAIN | {"length": 5}),
    ).attributes
    assert found["Email Demographics.First Name"].length == 100
    assert {"Email Demographics.Account Id", "Email Demographics.AccountId"} <= found.keys()


ADDRESSES = {
    "key": "EmailAddresses",
    "name": {"value": "Email Addresses"},
    "isReadOnly": True,
    "attributes": [
        {"key": "ListID", "name": {"value": "List ID"}, "dataType": "Number", "isPrimaryKey": True, "isHidden": True},
        {"key": "EmailAddress", "name": {"value": "Email Address"}, "dataType": "EmailAddress", "isPrimaryKey": True},
        {"key": "HTMLEnabled", "name": {"value": "HTML Enabled"}, "dataType": "Boolean", "isNullable": False},
    ],
}


def test_selectable_are_writable_demographics_and_the_address():
    found = parse(
        ADDRESSES,
        demographics(
            {"key": "ContactsID", "name": "Contacts ID", "isPrimaryKey": True},
            PLAIN,
            PLAIN | {"name": "Hidden", "isHidden": True},
            PLAIN | {"name": "Fixed", "isReadOnly": True},
        ),
    )
    names = [attribute.qualified for attribute in found.selectable()]
    assert names == ["Email Addresses.Email Address", "Email Addresses.HTML Enabled", "Email Demographics.First Name"]
    assert found.attributes["Email Addresses.Email Address"].is_primary_key  # the account's own definition counts


@pytest.mark.parametrize(
    ("name", "more", "fits"),
    [
        ("segment_1", {}, True),
        ("segment_1", {"length": 4000}, True),
        ("segment_1", {"length": 253}, False),
        ("segment_1", {"length": 4001}, False),
        ("segment_1", {"dataType": "Number"}, False),
        ("segment_1", {"isHidden": True}, False),
        ("segment_1", {"isReadOnly": True}, False),
        ("segment_1", {"length": -1}, True),
        ("segment_1", {"length": None}, True),
        ("Ärzte", {}, False),
        ("segment 1", {}, False),
        ("1segment", {}, False),
        ("_segment", {}, False),
    ],
)
def test_mapping_id_candidates(name, more, fits):
    found = parse(demographics({"key": "k", "name": name, "dataType": "Text", "length": 254} | more))
    assert [attribute.name for attribute in found.mapping_id_candidates()] == ([name] if fits else [])
    account = Account("mct0", "client", "secret", None, "https://auth", "https://rest")
    mapped = Destination("one", "One", account, (), (Segment("s", name),))
    connects = not any(problem.where.startswith("segments") for problem in find_problems(mapped, found))
    assert connects is fits  # what `fields` offers is what `connect` takes


def test_the_version_follows_the_attributes_and_not_the_time():
    one = parse_definitions([demographics(PLAIN)], fetched_at_ms=1)
    assert parse_definitions([demographics(PLAIN)], fetched_at_ms=2).version == one.version
    assert parse_definitions([demographics(PLAIN | {"length": 99})], fetched_at_ms=1).version != one.version
