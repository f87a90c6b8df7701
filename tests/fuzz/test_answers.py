"""Whatever Marketing Cloud or a gateway on the way answers, it is accepted or one leaf of the tree, and not quoted."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallError, DestinationBroken
from app.mapping.catalog import parse_definitions
from app.sfmc.hosts import trusted_rest_url
from app.sfmc.responses import Accepted, judge_contact, judge_read
from app.sfmc.token_responses import Granted, judge_token
from tests.fuzz.cases import MARK, altered, as_json, awkward, cases, marked, values
from tests.unit.mapping.campaign import ACCOUNT

STORED = {
    "operationStatus": "OK", "rowsAffected": 1, "isNewContactKey": False, "requestServiceMessageID": "m-1", "hasErrors": False,
    "resultMessages": [{"resultMessage": {"resultClass": "Error", "resultCode": f"{MARK}NotFound", "message": MARK}}],
    "contactID": 7,
}  # fmt: skip
REFUSED = {
    "message": MARK, "errorcode": 10006, "documentation": "",
    "validationErrors": [{"message": MARK}], "additionalErrors": [MARK], "retryAfter": 30,
}  # fmt: skip
TOKEN = {"access_token": "token", "expires_in": 1079, "scope": "a b", "rest_instance_url": f"https://{MARK}.test"}
NO_TOKEN = {"error": "invalid_client", "error_description": MARK, "errorcode": 1, "message": MARK}
DEFINITION = {
    "key": "EmailDemographics", "name": {"value": "Email Demographics"},
    "attributes": [{"key": "k", "name": {"value": "First Name"}, "dataType": "Text", "length": 20, "isNullable": True,
                    "restrictedValues": [{"value": "a"}, 1]}],
}  # fmt: skip


documents = st.one_of(*(altered(good) for good in (STORED, REFUSED, TOKEN, NO_TOKEN))) | values
bodies = (
    documents.map(as_json)
    | st.binary(max_size=100)
    | st.sampled_from([b"", b"null", b"[]", b"<html>" + MARK.encode(), b"[" * 100_000, b'{"a":' * 5_000, gzip.compress(b"{}"), b"\xff\xfe{}",
                       b'{"operationStatus":"OK","hasErrors":false,"resultMessages":[],"isNewContactKey":{}}', b'{"expires_in":1e999}'])
)  # fmt: skip
headers = st.dictionaries(
    st.sampled_from(["Retry-After", "retry-after", "Date", "Content-Type", "X-Other"]),
    marked | awkward | st.sampled_from(["9" * 100, "1e9", "-5", "Fri, 31 Dec 99999 23:59:59 GMT", "Thu, 01 Jan 1970", "0 0 0", "²", "nan",
                                        "Fri, 31 Dec 2026 23:59:59 +9999999", "(", "31 Dec 2026 99:99:99"]),
)  # fmt: skip
statuses = st.sampled_from([200, 201, 202, 204, 301, 400, 401, 403, 404, 408, 409, 429, 500, 503, 596]) | st.integers(
    100, 999
)


@cases(100, 3_000)
@given(statuses, headers, bodies)
def test_every_answer_has_a_verdict(status: int, given_headers: dict[str, str], body: bytes) -> None:
    judges: tuple[Callable[..., Any], ...] = (judge_contact, judge_read, judge_token)
    for judge in judges:
        try:
            verdict = judge(status, given_headers, body)
        except CallError as error:
            assert MARK.lower() not in f"{error}{error.remedy}{error.code}{error.request_id}".lower()
            assert re.fullmatch(r"[a-z0-9_-]+", error.code), error.code
            assert error.wait_seconds is None or (
                math.isfinite(error.wait_seconds) and 0 <= error.wait_seconds <= 3_600
            )
            assert len(error.service_message) <= 500
        else:
            assert 200 <= status < 300
            assert isinstance(verdict, Accepted | Granted | dict)
            if isinstance(verdict, Accepted):
                assert re.fullmatch(r"[0-9A-Za-z-]{0,64}", verdict.request_id)
            if isinstance(verdict, Granted):
                assert re.fullmatch(r"[!-~]+", verdict.access_token)
                assert 0 < verdict.life_seconds < 1e9


@cases(50, 1_000)
@given(st.lists(altered(DEFINITION) | values, max_size=4))
def test_every_definition_is_read_or_left_out(items: list[Any]) -> None:
    assert parse_definitions(items, fetched_at_ms=0).attributes


@cases(50, 1_000)
@given(
    st.text(max_size=40)
    | st.builds("{}{}{}".format, st.sampled_from(["https://", "http://", "", "//", "HTTPS://x@"]), st.text(max_size=12),
                st.sampled_from([".rest.marketingcloudapis.com", ".rest.marketingcloudapis.com:443/", "@evil.test", "#.rest.marketingcloudapis.com", ""]))
)  # fmt: skip
def test_a_token_goes_to_marketing_cloud_or_nowhere(named: str) -> None:
    try:
        url = trusted_rest_url(ACCOUNT, named)
    except DestinationBroken:
        return
    assert url == ACCOUNT.rest_base_url or re.fullmatch(r"https://[a-z0-9-]+\.rest\.marketingcloudapis\.com", url)
