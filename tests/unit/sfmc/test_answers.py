from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CallError
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
