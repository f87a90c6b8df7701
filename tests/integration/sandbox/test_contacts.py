from __future__ import annotations

import pytest

from tests.integration.sandbox.client import attribute_set, message

PATH = "/contacts/v1/contacts"
RECORDED = {
    "operationStatus", "rowsAffected", "contactKey", "contactID", "contactTypeID", "isNewContactKey",
    "requestServiceMessageID", "responseDateTime", "hasErrors", "resultMessages", "serviceMessageID",
}  # fmt: skip


def codes_of(answer):
    assert answer.status_code == 200
    body = answer.json()
    assert (body["operationStatus"], body["hasErrors"]) == ("FAIL", True)
    return [one["resultCode"] for one in body["resultMessages"]]


def test_patch_creates_then_updates(sandbox):
    first, second = sandbox.patch(First__Name="Ann").json(), sandbox.patch(email=None, Market="DE").json()
    assert set(first) == RECORDED
    assert (first["operationStatus"], first["isNewContactKey"], second["isNewContactKey"]) == ("OK", True, False)
    assert first["contactID"] == second["contactID"]
    assert sandbox.contacts == {
        "k1": {
            "Email Addresses.Email Address": "ann@mail.test",
            "Email Addresses.HTML Enabled": True,
            "Email Demographics.First Name": "Ann",
            "Email Demographics.Market": "DE",
        }
    }
    assert sandbox.admin("GET", "/contacts/k1") == sandbox.contacts["k1"]


def test_the_documents_spelling(sandbox):
    sandbox.switch(docs_spelling=True)
    body = sandbox.patch().json()
    assert set(body) == RECORDED - {"rowsAffected", "contactID", "responseDateTime"} | {"rowsAffetcted", "contactId"}
    assert body["operationStatus"] == "OK"


def test_a_contact_can_be_named_by_its_id(sandbox):
    contact_id = sandbox.patch().json()["contactID"]
    body = {"contactID": contact_id, "attributeSets": [attribute_set("Email Demographics", {"Market": "FR"})]}
    assert sandbox.call("PATCH", PATH, json=body).json()["contactKey"] == "k1"
    assert sandbox.contacts["k1"]["Email Demographics.Market"] == "FR"
    assert codes_of(sandbox.call("PATCH", PATH, json=body | {"contactID": 1})) == ["ContactNotFound"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("First Name", "x" * 100, None),
        ("First Name", "x" * 101, "ValueTooLong"),
        ("First Name", None, None),
        ("First Name", 5, None),
        ("Loyalty Points", 12, None),
        ("Loyalty Points", "12", None),
        ("Loyalty Points", "", None),
        ("Loyalty Points", "twelve", "InvalidValue"),
        ("Loyalty Points", True, "InvalidValue"),
        ("Lifetime Value", 12.5, None),
        ("Lifetime Value", "12.50", None),
        ("Lifetime Value", "12,50", "InvalidValue"),
        ("Newsletter", False, None),
        ("Newsletter", "true", None),
        ("Newsletter", "perhaps", "InvalidValue"),
        ("Birth Date", "1990-02-28", None),
        ("Birth Date", "2013-05-23T14:32:00Z", None),
        ("Birth Date", "11/11/2015", None),
        ("Birth Date", "1990-02-30", "InvalidValue"),
        ("Tier", "gold", None),
        ("Tier", "tin", "ValueNotInRestrictedList"),
        ("Internal Note", "seen", None),
        ("Created By", "me", "AttributeReadOnly"),
        ("Contacts ID", 1, "AttributeReadOnly"),
        ("salesforce_mc_segment_1", "realized", None),
        ("Salesforce_mc_segment_1", "realized", "AttributeNotFound"),
        ("Transaction Points1", "1", "AttributeNotFound"),
    ],
)
def test_each_rule_of_email_demographics(sandbox, name, value, code):
    sandbox.patch()
    body = {"contactKey": "k1", "attributeSets": [attribute_set("Email Demographics", {name: value, "Market": "DE"})]}
    answer = sandbox.call("PATCH", PATH, json=body)
    stored = sandbox.contacts["k1"]
    if code is None:
        assert answer.json()["operationStatus"] == "OK"
        assert stored[f"Email Demographics.{name}"] == value
    else:
        assert codes_of(answer) == [code]
        assert "Email Demographics.Market" not in stored, "a call that fails stores nothing"


@pytest.mark.parametrize(
    ("sets", "code"),
    [
        ([attribute_set("Email Demographics", {"Market": "DE"})], "ChannelAddressRequired"),
        ([attribute_set("Email Addresses", {"HTML Enabled": True})], "ValueRequired"),
        ([attribute_set("Email Addresses", {"Email Address": None})], "ValueRequired"),
        ([attribute_set("Email Addresses", {"Email Address": "ann"})], "InvalidEmailAddress"),
        ([attribute_set("Email Addresses", {"Email Address": "a@b.test"})] * 2, "DuplicateAttributeSet"),
        ([attribute_set("Emails", {"Email Address": "a@b.test"})], "AttributeSetNotFound"),
    ],
)
def test_what_a_new_contact_needs(sandbox, sets, code):
    assert codes_of(sandbox.call("PATCH", PATH, json={"contactKey": "k1", "attributeSets": sets})) == [code]
    assert sandbox.contacts == {}


def test_post_needs_html_enabled_to_create_and_may_create_alone(sandbox):
    sets = [attribute_set("Email Addresses", {"Email Address": "a@b.test"})]
    assert codes_of(sandbox.call("POST", PATH, json={"contactKey": "k1", "attributeSets": sets})) == ["ValueRequired"]
    assert sandbox.call("POST", PATH, json={"contactKey": "k1", "attributeSets": []}).json()["isNewContactKey"]
    assert sandbox.call("POST", PATH, json={"contactKey": "k1", "attributeSets": sets}).json()["hasErrors"] is False


def test_switches_of_the_contact_call(sandbox):
    sandbox.switch(patch_upserts=False)
    assert codes_of(sandbox.patch()) == ["ContactNotFound"]
    assert sandbox.patch(method="POST").json()["operationStatus"] == "OK"
    assert sandbox.patch(Market="DE").json()["operationStatus"] == "OK"

    sandbox.switch(unknown_attribute="lenient")
    assert sandbox.patch(no_such="x", Language="de").json()["operationStatus"] == "OK"
    assert "Email Demographics.no_such" not in sandbox.contacts["k1"]

    sandbox.switch(unknown_attribute="strict", name_matching="case_insensitive")
    assert sandbox.patch(first__name="Ann").json()["operationStatus"] == "OK"
    assert sandbox.contacts["k1"]["Email Demographics.First Name"] == "Ann"

    sandbox.switch(refuse_example_com=True)
    assert codes_of(sandbox.patch(email="ann@example.com")) == ["InvalidEmailAddress"]

    sandbox.switch(require_email_with_demographics=True)
    assert codes_of(sandbox.patch(email=None, Market="DE")) == ["ChannelAddressRequired"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", 10004),
        (b"[]", 10004),
        (b'{"attributeSets":[]}', 10002),
        (b'{"contactKey":"","attributeSets":[]}', 10002),
        (b'{"contactKey":7,"attributeSets":[]}', 10001),
        (b'{"contactID":"x","attributeSets":[]}', 10001),
        (b'{"contactKey":"k"}', 10002),
        (b'{"contactKey":"k","attributeSets":{}}', 10001),
        (b'{"contactKey":"k","attributeSets":[1]}', 10001),
        (b'{"contactKey":"k","attributeSets":[{"items":[]}]}', 10002),
        (b'{"contactKey":"k","attributeSets":[{"name":"Contact"}]}', 10002),
        (b'{"contactKey":"k","attributeSets":[{"name":"Contact","items":[{"values":[{"value":1}]}]}]}', 10002),
        (b'{"contactKey":"k","attributeSets":[{"name":"Contact","items":[{"values":[{"name":"a"}]}]}]}', 10002),
        (b'{"contactKey":"k","attributeSets":[{"name":"C","items":[{"values":[{"name":"a","value":[]}]}]}]}', 10001),
    ],
)
def test_messages_of_a_wrong_form(sandbox, body, code):
    answer = sandbox.call("PATCH", PATH, data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["errorcode"]) == (400, code)
    assert sandbox.contacts == {}


def test_refusals_before_the_message_is_read(sandbox):
    url = f"{sandbox.base_url}{PATH}"
    for headers in ({}, {"Authorization": "Bearer unknown"}, {"Authorization": sandbox.token}):
        assert sandbox.http.patch(url, json=message("k1"), headers=headers, timeout=10).status_code == 401
    assert sandbox.call("PATCH", PATH, data=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert sandbox.call("GET", PATH).status_code == 404
    sandbox.switch(unknown_path_status=596)
    answer = sandbox.call("GET", PATH)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (596, "text/html")


def test_attributes_can_come_and_go(sandbox):
    sandbox.patch()
    assert codes_of(sandbox.patch(new_one="x")) == ["AttributeNotFound"]
    added = {"name": "new_one", "dataType": "Text", "length": 3}
    sandbox.admin("PUT", "/attributes", {"add": [added], "remove": ["Market"]})
    assert sandbox.patch(new_one="x").json()["operationStatus"] == "OK"
    assert codes_of(sandbox.patch(new_one="long")) == ["ValueTooLong"]
    assert codes_of(sandbox.patch(Market="DE")) == ["AttributeNotFound"]
