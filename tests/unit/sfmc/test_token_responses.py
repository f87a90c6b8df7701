from __future__ import annotations

import orjson
import pytest

from app.errors import AccountThrottled, CallError, DestinationBroken, DestinationUnreachable
from app.sfmc.token_responses import Granted, judge_token

GRANTED = {
    "access_token": "TESTTOKEN",
    "token_type": "Bearer",
    "expires_in": 1079,
    "scope": "offline list_and_subscribers_read list_and_subscribers_write",
    "soap_instance_url": "https://mct0.soap.marketingcloudapis.com/",
    "rest_instance_url": "https://mct0.rest.marketingcloudapis.com/",
}
IP_TEXT = (
    "The client's IP address is unauthorized for this account. Allowlist the client's IP address in "
    "Marketing Cloud Administration."
)
UNKNOWN_ID = "Invalid client ID. Use the client ID in Marketing Cloud Installed Packages."
BAD_SECRET = (
    "Client authentication failed. Make sure that the client ID and client secret are valid and that the package is "
    "installed and enabled."
)


def oauth(error: str, description: str = "") -> bytes:
    return orjson.dumps({"error": error, "error_description": description, "error_uri": "https://developer.test"})


def rest(number: int, text: str) -> bytes:
    return orjson.dumps({"message": text, "errorcode": number, "documentation": ""})


def refused(status: int, body: bytes, headers: dict[str, str] | None = None) -> CallError:
    with pytest.raises(CallError) as caught:
        judge_token(status, headers or {}, body)
    return caught.value


def test_the_recorded_answer_is_read():
    assert judge_token(200, {}, orjson.dumps(GRANTED)) == Granted(
        "TESTTOKEN",
        1079.0,
        "https://mct0.rest.marketingcloudapis.com/",
        frozenset({"offline", "list_and_subscribers_read", "list_and_subscribers_write"}),
    )


def test_a_bare_answer_and_a_number_in_a_string_are_read():
    body = b'{"ACCESS_TOKEN": "t", "expires_in": "60"}'
    assert judge_token(200, {}, body) == Granted("t", 60.0, "", frozenset())


@pytest.mark.parametrize("more", [{}, {"expires_in": None}])
def test_an_answer_that_names_no_life_has_the_documented_one(more):
    body = orjson.dumps({"access_token": "t"} | more)
    assert judge_token(200, {}, body) == Granted("t", 1079.0, "", frozenset())


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, oauth("invalid_client", UNKNOWN_ID), "bad_credentials"),
        (401, oauth("invalid_client", BAD_SECRET), "bad_credentials"),
        (400, oauth("invalid_client", BAD_SECRET), "bad_credentials"),
        (401, oauth("unauthorized_client", "The client is not authorized …"), "grant_not_allowed"),
        (401, oauth("invalid_grant", IP_TEXT), "ip_not_allowed"),
        (400, oauth("invalid_grant", IP_TEXT), "ip_not_allowed"),
        (403, oauth("invalid_grant"), "ip_not_allowed"),
        (400, oauth("invalid_grant", "The grant is not valid."), "token_refused"),
        (400, oauth("invalid_scope", "?"), "invalid_scope"),
        (401, oauth("something_new"), "bad_credentials"),
        (401, rest(1, "Unauthorized"), "bad_credentials"),
        (400, rest(10002, "client_id is required"), "token_refused"),
        (404, rest(30003, "?"), "token_refused"),
        (302, b"", "redirected"),
        (308, oauth("invalid_client"), "redirected"),
    ],
)
def test_what_an_operator_must_mend(status, body, code):
    error = refused(status, body)
    assert (type(error), error.code, error.http_status) == (DestinationBroken, code, status)
    assert error.remedy


def test_an_unknown_client_id_and_a_bad_secret_have_different_remedies():
    unknown_id = refused(401, oauth("invalid_client", UNKNOWN_ID))
    bad_secret = refused(401, oauth("invalid_client", BAD_SECRET))
    assert "client_id" in unknown_id.remedy
    assert "180 days" in bad_secret.remedy


@pytest.mark.parametrize(
    ("body", "headers", "wait"),
    [
        (rest(50200, "Your requests are temporarily blocked."), {}, 60.0),
        (rest(50200, "Your requests are temporarily blocked."), {"Retry-After": "5"}, 5.0),
        (rest(50100, "Rate limit exceeded"), {"Retry-After": "5"}, 5.0),
        (b"<html>", {}, None),
    ],
)
def test_too_many_token_requests_say_nothing_of_the_rate_of_calls(body, headers, wait):
    error = refused(429, body, headers)
    assert isinstance(error, AccountThrottled)
    assert (error.kind, error.wait_seconds) == ("tokens", wait)
    assert "other programs" in error.remedy


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"<html>"),
        (503, rest(50300, "Unavailable")),
        (596, b"<html>"),
        (401, b"<html>proxy login</html>"),
        (403, b"<html>"),
        (404, b""),
        (408, rest(0, "slow")),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b"[]"),
        (200, orjson.dumps(GRANTED | {"access_token": ""})),
        (200, orjson.dumps(GRANTED | {"access_token": "a\r\nX-Evil: 1"})),
        (200, orjson.dumps(GRANTED | {"expires_in": 0})),
        (200, orjson.dumps(GRANTED | {"expires_in": True})),
        (200, orjson.dumps(GRANTED | {"expires_in": "soon"})),
    ],
)
def test_an_answer_that_says_nothing_of_the_credentials_is_unreachable(status, body):
    error = refused(status, body)
    assert (type(error), error.http_status) == (DestinationUnreachable, status)
    assert "TESTTOKEN" not in str(error)
