from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallError
from app.sfmc.answers import Message, error_number, page_words, read_messages, wait_seconds
from app.sfmc.responses import judge_contact
from app.sfmc.token_responses import judge_token

NAMES = (
    *("operationStatus", "hasErrors", "resultMessages", "resultMessage", "resultClass", "resultCode"),
    *("message", "errorcode", "retryAfter", "contactID", "error", "error_description"),
    *("access_token", "expires_in", "rest_instance_url", "scope", "additionalErrors", "requestServiceMessageID"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)
bodies = st.binary(max_size=40) | json_values.map(orjson.dumps)
headers = st.dictionaries(st.sampled_from(["Retry-After", "Date", "Content-Type"]), st.text(max_size=30), max_size=2)


@pytest.mark.parametrize("judge", [judge_contact, judge_token])
@given(status=st.integers(300, 599), given_headers=headers, body=bodies)
def test_no_refusal_whatever_is_anything_but_a_leaf(judge, status, given_headers, body):
    with pytest.raises(CallError) as caught:
        judge(status, given_headers, body)
    assert len(caught.value.service_message) <= 500
    assert caught.value.code
    assert caught.value.http_status == status


@pytest.mark.parametrize("judge", [judge_contact, judge_token])
@given(body=bodies.filter(lambda body: b"operationStatus" not in body and b"access_token" not in body))
def test_http_200_with_anything_else_is_no_success(judge, body):
    with pytest.raises(CallError):
        judge(200, {}, body)


@pytest.mark.parametrize(
    ("value", "number"),
    [(10006, 10006), ("10006", 10006), ("x", None), ("1" * 10, None), (True, None), (1.5, None), (None, None)],
)
def test_an_errorcode_is_a_number_however_it_is_written(value: object, number: int | None) -> None:
    assert error_number({"errorcode": value}) == number


@pytest.mark.parametrize(
    "shape",
    [
        lambda message: [message],
        lambda message: message,
        lambda message: [{"resultMessage": message}],
        lambda message: ["words", {"RESULTMESSAGE": {name.upper(): value for name, value in message.items()}}],
    ],
    ids=["list", "single", "wrapped", "wrapped in capitals"],
)
def test_a_message_is_found_in_each_shape(shape: Callable[[dict[str, Any]], object]) -> None:
    message = {"resultClass": "Error", "resultCode": 7, "message": ["no text"]}
    assert read_messages(shape(message)) == [Message("error", "7", "")]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (b"<html><h1>502\tBad\nGateway</h1></html>", "502 Bad Gateway"),
        (b"\x00\xffno\xc2\x85page", "\ufffdno page"),
        (b"<p>" + b"x" * 9_000, "x" * 500),
    ],
)
def test_of_a_page_its_words_are_told(page: bytes, words: str) -> None:
    assert page_words(page) == words


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600),
        ("99999999999999999999", 3_600),
        (" 30 ", 30),
        ("9" * 100, None),
        ("-1", None),
    ],
)
def test_no_server_parks_an_account_for_more_than_an_hour(header: str, seconds: float | None) -> None:
    assert wait_seconds({"Retry-After": header}, {}) == seconds


@pytest.mark.parametrize("asked", [1e300, float("inf"), 10**30])
def test_nor_in_its_body(asked: float) -> None:
    assert wait_seconds({}, {"retryafter": asked}) == 3_600


def test_a_long_refusal_is_cut_before_it_is_looked_through() -> None:
    text = "attribute " * 50_000
    body = {"operationStatus": "FAIL", "resultMessages": [{"resultClass": "Error", "message": text}] * 100}
    began = time.process_time()
    for _ in range(3):
        with pytest.raises(CallError) as told:
            judge_contact(200, {}, orjson.dumps(body))
    short = {"operationStatus": "FAIL", "resultMessages": [{"resultClass": "Error", "message": "x" * 500}] * 100}
    taken, began = time.process_time() - began, time.process_time()
    for _ in range(3):
        with pytest.raises(CallError):
            judge_contact(200, {}, orjson.dumps(short))
    assert taken < 60 * (time.process_time() - began) + 0.5, "it used to take thousands of times as long"
    assert len(told.value.service_message) <= 500


@pytest.mark.parametrize(
    ("code", "shown"),
    [("CustomObjectNotFound", True), ("ValueTooLong", True), ("AnnSmith", False), ("ann@mail.test", False)],
)
def test_a_result_code_is_shown_when_it_is_an_apis_words(code: str, shown: bool) -> None:
    body = {"operationStatus": "FAIL", "requestServiceMessageID": "Ann <ann@mail.test>",
            "resultMessages": [{"resultClass": "Error", "resultCode": code, "message": "m"}]}  # fmt: skip
    with pytest.raises(CallError) as told:
        judge_contact(200, {}, orjson.dumps(body))
    assert (code in str(told.value) or told.value.code != "refused") is shown
    assert told.value.request_id == ""
    assert code in told.value.service_message
