from __future__ import annotations

import orjson
import pytest

from app.errors import (
    AccountThrottled,
    AddressRequired,
    AttributeRefused,
    CallError,
    ContactRefused,
    ContactUnknown,
    DestinationBroken,
    DestinationUnreachable,
    Throttle,
    TokenRefused,
    TransientFailure,
)
from app.sfmc.responses import Accepted, judge_contact, judge_read, judge_rest_error

JSON = {"Content-Type": "application/json; charset=utf-8"}
HTML = b"<html><head><title>Service unavailable</title></head><body>ann@mail.test</body></html>"
DOCS = "https://developer.salesforce.com/docs/atlas.en-us.mc-apis.meta/mc-apis/error-handling.htm"
RECORDED = {
    "operationStatus": "OK",
    "rowsAffected": 1,
    "contactKey": "0039E00000DcvwjQAB",
    "contactID": 36270040,
    "contactTypeID": 0,
    "isNewContactKey": False,
    "requestServiceMessageID": "13d1b1b4",
    "responseDateTime": "2021-12-28T04:50:11.8146417-06:00",
    "hasErrors": False,
    "resultMessages": [],
    "serviceMessageID": "36f9ab27",
}
DOCUMENTED = {name: value for name, value in RECORDED.items() if name not in ("rowsAffected", "contactID")} | {
    "rowsAffetcted": 1,
    "contactId": 36270040,
}
NO_SUCH_VALUE = "The contact was not updated: the value of Market does not exist in the list."
FAILED = RECORDED | {"operationStatus": "FAIL", "hasErrors": True, "contactID": 0}


def message(code: str = "", text: str = "", kind: str = "Error") -> dict[str, object]:
    return {"resultType": "Operational", "resultClass": kind, "resultCode": code, "message": text}


def rest(number: int | str | None, text: str = "said for ann@mail.test", **more: object) -> bytes:
    return orjson.dumps(
        {"message": text, "documentation": DOCS, **({} if number is None else {"errorcode": number}), **more}
    )


def judged(status: int, body: object, headers: dict[str, str] = JSON) -> CallError:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    with pytest.raises(CallError) as caught:
        judge_contact(status, headers, raw)
    return caught.value


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        pytest.param(200, RECORDED, id="recorded"),
        pytest.param(200, DOCUMENTED, id="docs spelling"),
        pytest.param(202, RECORDED, id="another 2xx"),
        pytest.param(200, {name.upper(): value for name, value in RECORDED.items()}, id="upper-case keys"),
        pytest.param(200, {name.lower(): value for name, value in RECORDED.items()}, id="lower-case keys"),
        pytest.param(200, RECORDED | {"operationStatus": "ok"}, id="status in lower case"),
        pytest.param(200, RECORDED | {"resultMessages": [message("X", "note", "Information")]}, id="information"),
        pytest.param(200, RECORDED | {"resultMessages": None}, id="no messages"),
        pytest.param(200, {n: v for n, v in RECORDED.items() if n != "hasErrors"}, id="hasErrors left out"),
    ],
)
def test_a_stored_contact_is_accepted(status, answer):
    assert judge_contact(status, JSON, orjson.dumps(answer)) == Accepted("13d1b1b4")


def test_a_contact_may_be_stored_without_an_id_of_the_request():
    assert judge_contact(200, JSON, b'{"operationStatus":"OK"}') == Accepted("")


@pytest.mark.parametrize(
    ("messages", "leaf", "code"),
    [
        ([message("AttributeSetNotFound")], AttributeRefused, "attribute_not_found"),
        ([message("AttributeNotFound")], AttributeRefused, "attribute_not_found"),
        ([message("", "Attribute 'segment_1' was not found in the set.")], AttributeRefused, "attribute_not_found"),
        ([message("", "No such attribute: segment_1")], AttributeRefused, "attribute_not_found"),
        (
            [message("CustomObjectNotFound", "Failed to resolve the Custom Object from the provided reference.")],
            AttributeRefused,
            "attribute_not_found",
        ),
        ([message("ChannelAddressRequired")], AddressRequired, "address_required"),
        ([message("", "A channel address is required for a new contact.")], AddressRequired, "address_required"),
        ([message("ContactNotFound")], ContactUnknown, "contact_unknown"),
        ([message("", "The contact key c-1 does not exist.")], ContactUnknown, "contact_unknown"),
        ([message("", "Contact 'ann@mail.test' was not found.")], ContactUnknown, "contact_unknown"),
        ([message("", "Contact was read. Its list was not found.")], ContactRefused, "refused"),
        ([message("", "Attribute Contact Role not found.")], AttributeRefused, "attribute_not_found"),
        ([message("InvalidEmailAddress")], ContactRefused, "invalid_email_address"),
        ([message("ValueTooLong")], ContactRefused, "value_too_long"),
        ([message("InvalidValue")], ContactRefused, "invalid_value"),
        ([message("ValueNotInRestrictedList")], ContactRefused, "value_not_in_restricted_list"),
        ([message("ValueRequired")], ContactRefused, "value_required"),
        ([message("DuplicateAttributeSet")], ContactRefused, "duplicate_attribute_set"),
        (
            [message("DatabaseError", "Violation of PRIMARY KEY constraint 'PK_x'. Cannot insert duplicate key.")],
            TransientFailure,
            "conflict",
        ),
        ([message("NotFound", "n", "Information"), message("ValueTooLong")], ContactRefused, "value_too_long"),
        ([message("ValueTooLong", "n", "Information")], ContactRefused, "value_too_long"),  # where there is no error
        ([message("InvalidValue"), message("AttributeNotFound")], AttributeRefused, "attribute_not_found"),
        ([message("InvalidValue", NO_SUCH_VALUE)], ContactRefused, "invalid_value"),
        ([message("ValueTooLong"), message("", "The contact does not exist.")], ContactRefused, "value_too_long"),
        ([message("ValueRequired", "Violation of PRIMARY KEY constraint")], ContactRefused, "value_required"),
        ([message("PrimaryKeyViolation", "Error.")], TransientFailure, "conflict"),
        (
            [message("InvalidEmailAddress", "The email address must be a valid address.")],
            ContactRefused,
            "invalid_email_address",
        ),
        (
            [
                message(
                    "ValueNotInRestrictedList", "The value of attribute [Market] was not found in the list of values."
                )
            ],
            ContactRefused,
            "value_not_in_restricted_list",
        ),
        ([message("", NO_SUCH_VALUE)], ContactRefused, "refused"),
        ([message("", "The email address must be a valid address.")], ContactRefused, "refused"),
        ([message("", "Attribute [Market]: 'x' was not found in the list of values.")], ContactRefused, "refused"),
        ([message("", "An email address must be given.")], AddressRequired, "address_required"),
        ([message("OperationFailed", "The contact does not exist.")], ContactUnknown, "contact_unknown"),
        ([message("ContactUpdateError", "No such attribute: x")], AttributeRefused, "attribute_not_found"),
        ([message("E-17", "No such attribute: x")], AttributeRefused, "attribute_not_found"),
        ([{"resultMessage": message("ValueTooLong")}], ContactRefused, "value_too_long"),
        ({"resultMessage": message("ValueTooLong")}, ContactRefused, "value_too_long"),
        ([{"RESULTCLASS": "error", "RESULTCODE": "ValueTooLong"}], ContactRefused, "value_too_long"),
        ([message("ann@mail.test is bad")], ContactRefused, "refused"),
        ([message(10005)], ContactRefused, "refused"),
        ([], ContactRefused, "refused"),
        (None, ContactRefused, "refused"),
        (["nonsense", 7], ContactRefused, "refused"),
    ],
)
def test_a_failure_with_http_200_is_one_leaf(messages, leaf, code):
    error = judged(200, FAILED | {"resultMessages": messages})
    assert (type(error), error.code, error.http_status, error.request_id) == (leaf, code, 200, "13d1b1b4")


@pytest.mark.parametrize(
    "answer",
    [
        RECORDED | {"hasErrors": True},
        RECORDED | {"hasErrors": "true"},
        FAILED | {"contactID": 36270040, "isNewContactKey": True},
        FAILED | {"contactID": 36270040, "isNewContactKey": "true"},
        DOCUMENTED | {"hasErrors": True},
    ],
)
def test_errors_along_with_the_id_of_a_new_contact_mean_partly_stored(answer):
    error = judged(200, answer | {"resultMessages": [message("InvalidValue", "secret value")]})
    assert isinstance(error, ContactRefused)
    assert (error.code, error.stored_in_part) == ("partly_stored", True)
    assert "InvalidValue" in str(error)


@pytest.mark.parametrize(
    ("code", "leaf"),
    [
        ("AttributeNotFound", AttributeRefused),
        ("ChannelAddressRequired", AddressRequired),
        ("ContactNotFound", ContactUnknown),
    ],
)
def test_whatever_else_is_said_a_part_is_stored(code, leaf):
    error = judged(200, RECORDED | {"hasErrors": True, "resultMessages": [message(code)]})
    assert type(error) is leaf
    assert error.stored_in_part


@pytest.mark.parametrize(
    ("answer", "in_part"),
    [
        (RECORDED | {"operationStatus": "FAIL"}, False),
        (RECORDED | {"resultMessages": [message("InvalidValue")]}, False),
        (RECORDED | {"hasErrors": True}, True),
        (RECORDED | {"hasErrors": True, "contactID": 0}, False),
        (RECORDED | {"hasErrors": True, "contactID": -1}, False),
        ({n: v for n, v in RECORDED.items() if n != "contactID"} | {"hasErrors": True}, False),
        (FAILED | {"contactID": 36270040}, False),  # that of a contact that was there before
        ({n: v for n, v in RECORDED.items() if n != "operationStatus"}, False),
        ({}, False),
    ],
)
def test_any_single_sign_of_failure_is_failure(answer, in_part):
    error = judged(200, answer)
    assert type(error) is ContactRefused
    assert error.stored_in_part is in_part
    assert ("stored a part of the contact only" in str(error)) is in_part


@pytest.mark.parametrize("body", [HTML, b"", b"[]", b'"OK"', b"null", b"\xff\xfe", b'{"operationStatus":'])
def test_http_200_without_an_object_leaves_open_whether_it_was_stored(body):
    error = judged(200, body)
    assert (type(error), error.code) == (TransientFailure, "unreadable_answer")


@pytest.mark.parametrize(
    ("status", "number", "leaf", "code"),
    [
        (400, 10000, ContactRefused, "rest_10000"),
        (400, 10001, ContactRefused, "rest_10001"),
        (400, 10002, ContactRefused, "rest_10002"),
        (400, 10003, ContactRefused, "rest_10003"),
        (400, 10004, ContactRefused, "rest_10004"),
        (400, 10005, ContactRefused, "rest_10005"),
        (400, 10006, ContactRefused, "rest_10006"),
        (400, "10006", ContactRefused, "rest_10006"),
        (400, 30000, ContactRefused, "rest_30000"),
        (400, 30001, ContactRefused, "rest_30001"),
        (400, 30003, ContactRefused, "rest_30003"),
        (400, 40002, ContactRefused, "rest_40002"),
        (400, None, ContactRefused, "http_400"),
        (404, None, ContactRefused, "http_404"),
        (404, 30003, ContactUnknown, "contact_unknown"),
        (415, None, ContactRefused, "http_415"),
        (413, None, ContactRefused, "http_413"),
        (401, 0, TokenRefused, "token_refused"),
        (401, 1, TokenRefused, "token_refused"),
        (401, None, TokenRefused, "token_refused"),
        (401, 40004, DestinationBroken, "not_authorized"),
        (403, 20000, DestinationBroken, "not_authorized"),
        (403, 20001, DestinationBroken, "not_authorized"),
        (403, 20002, DestinationBroken, "missing_scope"),
        (403, 40000, DestinationBroken, "not_authorized"),
        (403, 40001, DestinationBroken, "not_authorized"),
        (403, 40002, TokenRefused, "wrong_stack"),
        (403, 40003, DestinationBroken, "not_authorized"),
        (408, None, TransientFailure, "request_timeout"),
        (409, 30002, TransientFailure, "conflict"),
        (409, 30004, TransientFailure, "conflict"),
        (500, 0, TransientFailure, "server_500"),
        (502, None, TransientFailure, "server_502"),
        (503, None, TransientFailure, "server_503"),
        (504, None, TransientFailure, "server_504"),
        (503, 50300, AccountThrottled, "throttled_unavailable"),
        (429, 50100, AccountThrottled, "throttled_rate"),
        (429, 50200, AccountThrottled, "throttled_blocked"),
        (429, None, AccountThrottled, "throttled_rate"),
        (596, None, TransientFailure, "gateway_596"),
        (301, None, DestinationBroken, "redirected"),
        (302, None, DestinationBroken, "redirected"),
        (307, None, DestinationBroken, "redirected"),
    ],
)
def test_each_rest_error_is_one_leaf(status, number, leaf, code):
    error = judged(status, rest(number))
    assert (type(error), error.code, error.http_status) == (leaf, code, status)
    assert error.service_message == "said for ann@mail.test"


@pytest.mark.parametrize(
    ("status", "leaf"),
    [
        (400, TransientFailure),
        (401, TokenRefused),
        (403, TransientFailure),
        (404, TransientFailure),
        (405, TransientFailure),
        (413, ContactRefused),
        (451, TransientFailure),
        (429, AccountThrottled),
        (500, TransientFailure),
        (502, TransientFailure),
        (503, TransientFailure),
        (596, TransientFailure),
    ],
)
def test_html_instead_of_json_is_survived(status, leaf):
    error = judged(status, HTML, {"Content-Type": "text/html"})
    assert type(error) is leaf
    assert error.service_message == ""


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"Retry-After": "5"}, rest(50100), 5.0),
        ({"retry-after": "2.5"}, rest(50100), 2.5),
        ({}, rest(50100, retryAfter=7), 7.0),
        ({}, rest(50100, retryAfter=-7), None),
        ({}, rest(50100, retryAfter=True), None),
        ({"Retry-After": "5"}, rest(50100, retryAfter=7), 5.0),
        (
            {"Retry-After": "Mon, 01 Jun 2026 10:00:30 GMT", "Date": "Mon, 01 Jun 2026 10:00:00 GMT"},
            rest(50100),
            30.0,
        ),
        ({"Retry-After": "Mon, 01 Jun 2026 09:00:00 GMT", "Date": "Mon, 01 Jun 2026 10:00:00 GMT"}, rest(50100), 0.0),
        ({"Retry-After": "soon"}, rest(50100), None),
        ({"Retry-After": "-3"}, rest(50100), None),
        ({"Retry-After": "inf"}, rest(50100), None),
        ({}, rest(50200), None),
        ({"Retry-After": "90"}, rest(50200), 90.0),
        ({"Retry-After": "9"}, HTML, 9.0),
    ],
)
def test_the_wait_that_a_throttling_server_asks_for(headers, body, wait):
    error = judged(429, body, headers)
    assert isinstance(error, AccountThrottled)
    assert error.wait_seconds == wait


def test_any_other_failure_with_retry_after_is_of_one_call():
    assert type(judged(500, rest(0), {"Retry-After": "11"})) is TransientFailure


def test_503_with_retry_after_is_the_accounts_wait_even_without_json():
    error = judged(503, HTML, {"Retry-After": "11"})
    assert isinstance(error, AccountThrottled)
    assert (error.kind, error.wait_seconds) == (Throttle.UNAVAILABLE, 11.0)


@pytest.mark.parametrize(
    ("status", "body", "is_sure"),
    [
        (200, {"resultMessages": [message("ContactNotFound", "No contact has this contactKey.")]}, True),
        (200, {"resultMessages": [message("OperationFailed", "The contact does not exist.")]}, False),
        (200, {"resultMessages": [message("", "Contact 'c-1' was not found.")]}, False),
        (404, {"errorcode": 30003, "message": "No resource exists at this path."}, False),
        (404, {"errorcode": 0, "message": "The contact was not found."}, False),
    ],
)
def test_whether_it_is_sure_that_a_contact_is_unknown(status, body, is_sure):
    error = judged(status, FAILED | body if status == 200 else body)
    assert isinstance(error, ContactUnknown)
    assert error.is_sure is is_sure


@pytest.mark.parametrize(
    ("number", "leaf"),
    [(10001, ContactRefused), (10005, ContactRefused), (10000, ContactUnknown), (30000, ContactUnknown)],
)
def test_words_of_a_refused_request_do_not_overrule_its_errorcode(number, leaf):
    assert type(judged(400, rest(number, "The contact key c-1 does not exist."))) is leaf


def test_what_is_refused_for_what_all_calls_have_alike():
    """The others may be refused for what this one contact carries."""
    refused = {
        (status, number): judged(status, rest(number, "No."))
        for status in (400, 404, 405, 410, 413, 415)
        for number in (None, 10000, 10001, 10002, 10003, 10004, 10005, 10006, 30000, 30001)
    }
    of_form = {which for which, error in refused.items() if isinstance(error, ContactRefused) and error.is_of_form}
    routes = {(status, None) for status in (404, 405, 410, 415)}
    assert of_form == routes | {(status, number) for status, number in refused if number in (10004, 30001)}


def test_additional_errors_are_told_and_recognised():
    body = rest(10006, "Several", additionalErrors=[{"message": "Attribute seg_1 does not exist"}, "other"])
    error = judged(400, body)
    assert type(error) is AttributeRefused
    assert error.service_message == "Several; Attribute seg_1 does not exist; other"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, orjson.dumps(FAILED | {"resultMessages": [message("InvalidValue", "ann@mail.test")]})),
        (200, orjson.dumps(RECORDED | {"hasErrors": True, "resultMessages": [message("bad ann@mail.test", "x")]})),
        (400, rest(10005, "'ann@mail.test' is no value")),
        (409, rest(30004, "ann@mail.test exists")),
        (500, rest(0, "ann@mail.test")),
        (500, HTML),
    ],
)
def test_no_words_of_the_service_are_in_the_text(status, body):
    error = judged(status, body)
    assert "ann" not in str(error) + error.remedy + error.code


def test_a_long_message_is_cut():
    assert len(judged(400, rest(10000, "x" * 9000)).service_message) == 500


@pytest.mark.parametrize(
    ("status", "body", "leaf", "code"),
    [
        (200, HTML, DestinationUnreachable, "unreadable_answer"),
        (200, b"[]", DestinationUnreachable, "unreadable_answer"),
        (500, HTML, DestinationUnreachable, "server_500"),
        (596, HTML, DestinationUnreachable, "gateway_596"),
        (404, rest(30003), DestinationBroken, "rest_30003"),
        (400, rest(10000, "No such attribute"), DestinationBroken, "rest_10000"),
        (404, rest(None), DestinationBroken, "http_404"),
        (413, HTML, DestinationBroken, "http_413"),
        (400, rest(10000), DestinationBroken, "rest_10000"),
        (403, rest(20002), DestinationBroken, "missing_scope"),
        (401, rest(0), TokenRefused, "token_refused"),
        (429, rest(50200), AccountThrottled, "throttled_blocked"),
    ],
)
def test_a_read_never_blames_a_contact(status, body, leaf, code):
    with pytest.raises(CallError) as caught:
        judge_read(status, JSON, body)
    error = caught.value
    assert (type(error), error.code, error.http_status) == (leaf, code, status)
    assert bool(error.service_message) is (status != 200), "its words, also those of a page"


@pytest.mark.parametrize(
    ("status", "body", "place"),
    [
        (500, rest(0), "network"),
        (502, HTML, "network"),
        (409, rest(30002), "network"),
        (596, HTML, "network"),
        (400, rest(10000), "account.account_id"),
        (404, rest(30003), "account.account_id"),
        (429, rest(50100), "limits.calls_per_minute"),
        (429, rest(50200), "limits.max_in_flight"),
        (503, rest(50300), "support"),
    ],
)
def test_a_question_that_fails_names_what_to_look_at_and_it_is_not_the_subdomain(status, body, place):
    """That has just granted the token."""
    with pytest.raises(CallError) as caught:
        judge_read(status, JSON, body)
    said = f"{caught.value} {caught.value.remedy}"
    assert place in caught.value.remedy
    assert "subdomain" not in said
    assert "ontact does not" not in said
    assert str(status) in said


def test_a_read_keeps_the_answers_own_spelling():
    assert judge_read(202, JSON, b'{"pageSize": 50}') == {"pageSize": 50}


def test_what_an_operator_must_mend_has_a_remedy():
    for status, number in [(403, 20002), (403, 20000), (401, 40004), (302, None)]:
        assert judge_rest_error(status, JSON, rest(number)).remedy


@pytest.mark.parametrize(
    ("messages", "option"),
    [
        ([message("ContactNotFound")], "options.create_unknown"),
        ([message("ValueRequired")], "options.html_enabled"),
        ([message("", "The attribute [Email Addresses.HTML Enabled] needs a value.")], "options.html_enabled"),
    ],
)
def test_a_refusal_that_an_option_mends_names_it(messages, option):
    assert option in judged(200, FAILED | {"resultMessages": messages}).remedy
    assert "options." not in judged(200, FAILED | {"resultMessages": [message("InvalidEmailAddress")]}).remedy


def test_a_known_contact_that_is_refused_is_not_stored_in_part():
    error = judged(200, FAILED | {"contactID": 36270040, "resultMessages": [message("InvalidEmailAddress")]})
    assert (error.code, str(error)) == (
        "invalid_email_address",
        "Marketing Cloud did not store the contact (InvalidEmailAddress).",
    )


def test_a_code_that_may_be_a_value_is_said_to_be_withheld():
    for code in (
        "Ann",
        "email",
        "account_name",
        "Name7",
    ):  # some of these words are the API's, and no code is written so
        error = judged(200, FAILED | {"resultMessages": [message(code)]})
        assert "its code is shown with `--reveal`" in str(error)
        assert error.code == "refused"
    assert "it gives no code" in str(judged(200, FAILED))
