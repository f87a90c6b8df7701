from __future__ import annotations

import pytest

DEFINITIONS = "/contacts/v1/attributeSetDefinitions"


def listed(sandbox):
    return {one["key"]: one for one in sandbox.call("GET", DEFINITIONS).json()["items"]}


def test_the_seeded_sets(sandbox):
    sets = listed(sandbox)
    assert list(sets) == [
        "EmailAddresses",
        "EmailDemographics",
        "Contact",
        "MobileDemographics",
        "MobileSubscriptions",
    ]
    demographics = {one["name"]["value"]: one for one in sets["EmailDemographics"]["attributes"]}
    assert demographics["Transaction Points"]["key"] == "Transaction Points1"
    assert demographics["Account Id"]["storageName"] == demographics["AccountId"]["storageName"]
    assert demographics["Tier"]["restrictedValues"] == ["gold", "silver", "bronze"]
    assert (demographics["Internal Note"]["isHidden"], demographics["Created By"]["isReadOnly"]) == (True, True)
    assert [demographics[f"salesforce_mc_segment_{n}"]["length"] for n in range(1, 6)] == [254] * 5
    assert "length" not in demographics["Loyalty Points"]


@pytest.mark.parametrize(
    "path",
    ["/CONTACTS/v1/attributesetdefinitions", DEFINITIONS + "/", DEFINITIONS + "?$PAGESIZE=1&$Page=2",
     DEFINITIONS + "/KEY:emaildemographics/", "/Platform/V1/TokenContext/", "/platform/v1/endpoints/REST/"],
)  # fmt: skip
def test_the_case_of_a_path_and_of_names_in_the_query_and_a_last_slash_do_not_count(sandbox, path):
    answer = sandbox.call("GET", path)
    assert answer.status_code in (200, 202)
    if "PAGESIZE" in path:
        assert [one["key"] for one in answer.json()["items"]] == ["EmailDemographics"]


def test_a_contact_is_written_by_a_path_in_any_case(sandbox):
    body = {"contactKey": "c-1", "attributeSets": []}
    assert sandbox.call("PATCH", "/Contacts/V1/Contacts/", json=body).json()["operationStatus"] == "OK"


def test_one_set_by_every_reference(sandbox):
    own_id = listed(sandbox)["EmailDemographics"]["id"]
    for reference in (own_id, "key:EmailDemographics", "name:Email%20Demographics"):
        assert sandbox.call("GET", f"{DEFINITIONS}/{reference}").json()["item"]["key"] == "EmailDemographics"
    schema_id = sandbox.call("GET", "/contacts/v1/schema").json()["items"][0]["id"]
    for reference in (own_id, "EmailDemographics", "Email%20Demographics"):
        path = f"/contacts/v1/schemas/{schema_id}/attributeSetDefinitions/{reference}"
        found = sandbox.call("GET", path).json()["attributeSetDefinition"]
        assert (found["name"], found["attributes"][1]["name"]) == ("Email Demographics", "First Name")


@pytest.mark.parametrize(
    "path",
    [
        f"{DEFINITIONS}/key:Nothing",
        "/contacts/v1/schemas/other/attributeSetDefinitions/Contact",
        "/platform/v1/endpoints/foobar",
        "/contacts/v1/contacts/actions/delete/status?operationID=9",
        "/contacts/v1/nothing",
    ],
)
def test_what_is_not_there(sandbox, path):
    answer = sandbox.call("GET", path)
    assert (answer.status_code, answer.json()["errorcode"]) == (404, 30003)


def test_bad_pages_are_refused(sandbox):
    for query in ("$page=0", "$page=x", "$pageSize=-1"):
        answer = sandbox.call("GET", f"{DEFINITIONS}?{query}")
        assert (answer.status_code, answer.json()["errorcode"]) == (400, 10005)


def test_context_routes(sandbox):
    context = sandbox.call("GET", "/platform/v1/tokenContext")
    assert (context.status_code, context.json()["organization"]) == (202, {"id": 510001})
    assert sandbox.call("GET", "/platform/v1/endpoints/rest").json()["url"] == f"{sandbox.base_url}/"
    assert sandbox.call("GET", "/platform/v1/endpoints").json()["count"] == 3
    assert sandbox.call("GET", "/v2/userinfo").json()["organization"]["member_id"] == 510001


def test_searches_find_what_was_written(sandbox):
    sandbox.patch("k1", First__Name="Ann")
    body = {"ChannelAddressList": ["ANN@mail.test", "no@mail.test"], "MaximumCount": 1}
    found = sandbox.call("POST", "/contacts/v1/addresses/email/search", json=body).json()
    keys = [[who["contactKey"] for who in one["contactKeyDetails"]] for one in found["channelAddressResponseEntities"]]
    assert keys == [["k1"], []]

    body = {"filterConditionOperator": "Is", "filterConditionValue": "k1"}
    found = sandbox.call("POST", "/contacts/v1/addresses/search/ContactKey", json=body).json()
    assert [one["contactKey"]["value"] for one in found["addresses"]] == ["k1"]

    condition = {"attribute": {"key": "Contact.Contact Key"}, "operator": "Equals", "value": {"items": ["k1"]}}
    body = {
        "request": {"attributes": [{"key": "Email Demographics.First Name"}]},
        "conditionSet": {"operator": "And", "conditionSets": [], "conditions": [condition]},
    }
    found = sandbox.call("POST", "/contacts/v1/attributes/search", json=body).json()
    assert found["items"] == [{"values": [{"name": "Email Demographics.First Name", "value": "Ann"}]}]


def test_deletion(sandbox):
    sandbox.patch("k1")
    sandbox.patch("k2")
    body = {"values": ["k1"], "DeleteOperationType": "ContactAndAttributes"}
    begun = sandbox.call("POST", "/contacts/v1/contacts/actions/delete?type=keys", json=body).json()
    assert begun["operationInitiated"]
    path = f"/contacts/v1/contacts/actions/delete/status?operationID={begun['operationID']}"
    summary = sandbox.call("GET", path).json()["backgroundOperationsSummary"]
    assert [one["backgroundOperationStatusID"] for one in summary] == ["Completed"]
    assert list(sandbox.contacts) == ["k2"]
