from __future__ import annotations

import pytest

from tests.integration.sandbox.client import SIGN_IN

PACKAGE = "list_and_subscribers_read list_and_subscribers_write audiences_read"


def test_a_token_names_the_instance_as_the_client_reached_it(sandbox):
    answer = sandbox.sign_in(account_id=510001).json()
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 1079
    assert answer["scope"] == PACKAGE
    assert answer["rest_instance_url"] == f"{sandbox.base_url}/"
    assert len(answer["access_token"]) <= 512


def test_the_host_can_be_spelled_bare(sandbox):
    sandbox.switch(host_spelling="bare")
    assert sandbox.sign_in().json()["rest_instance_url"] == sandbox.base_url.removeprefix("http://")


def test_a_form_is_accepted(sandbox):
    answer = sandbox.http.post(f"{sandbox.base_url}/v2/token", data=SIGN_IN, timeout=10)
    assert answer.status_code == 200
    assert answer.json()["scope"] == PACKAGE


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, PACKAGE),
        ("", ""),
        ("audiences_read", "audiences_read"),
        ("audiences_read email_send", "audiences_read"),
    ],
)
def test_scopes_are_those_asked_for_that_the_package_has(sandbox, asked, granted):
    assert sandbox.sign_in(scope=asked).json()["scope"] == granted


@pytest.mark.parametrize(
    ("switches", "fields", "status", "error"),
    [
        ({}, {"client_id": "other"}, 401, "invalid_client"),
        ({}, {"client_secret": "other"}, 401, "invalid_client"),
        ({}, {"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({}, {"grant_type": None}, 400, "invalid_request"),
        ({}, {"scope": "email_send"}, 400, "invalid_scope"),
        ({"ip_refused": True}, {}, 401, "invalid_grant"),
        ({"package_disabled": True}, {}, 401, "invalid_client"),
        ({"account_id": 7}, {"account_id": "8"}, 401, "invalid_client"),
    ],
)
def test_refused_sign_ins_have_the_oauth_shape(sandbox, switches, fields, status, error):
    sandbox.switch(**switches)
    answer = sandbox.sign_in(**fields)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert set(answer.json()) == {"error", "error_description", "error_uri"}


def test_both_secrets_work_while_one_is_staged(sandbox):
    sandbox.switch(staged_secrets=["next"])
    assert [sandbox.sign_in(client_secret=one).status_code for one in ("sandbox-secret", "next")] == [200, 200]
    sandbox.switch(client_secrets=["next"], staged_secrets=[])
    assert [sandbox.sign_in(client_secret=one).status_code for one in ("sandbox-secret", "next")] == [401, 200]


def test_too_many_token_requests_are_blocked(sandbox):
    sandbox.switch(token_requests_per_window=2)
    answers = [sandbox.sign_in() for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[2].json()["errorcode"] == 50200
    assert "Retry-After" not in answers[2].headers
    assert sandbox.summary["token_requests"] == 3


def test_an_old_token_is_refused_and_a_new_one_leaves_older_ones_alone(sandbox):
    first, second = sandbox.token, sandbox.sign_in().json()["access_token"]
    assert first != second
    assert sandbox.patch().status_code == 200
    sandbox.switch(token_life_seconds=0)
    answer = sandbox.patch()
    assert answer.status_code == 401
    assert (answer.json()["errorcode"], answer.json()["message"]) == (0, "Not Authorized")


def test_secrets_never_reach_the_ledger(sandbox):
    sandbox.sign_in()
    assert [one["body"] for one in sandbox.calls] == [None]


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("list_and_subscribers_write", "PATCH", "/contacts/v1/contacts", 403),
        ("list_and_subscribers_read", "PATCH", "/contacts/v1/contacts", 403),
        ("list_and_subscribers_read", "POST", "/contacts/v1/contacts", 403),
        ("list_and_subscribers_write", "POST", "/contacts/v1/contacts", 415),
        ("", "GET", "/contacts/v1/attributeSetDefinitions", 403),
        ("list_and_subscribers_read", "GET", "/contacts/v1/attributeSetDefinitions", 200),
        ("list_and_subscribers_read", "POST", "/contacts/v1/addresses/search/ContactKey", 403),
        ("", "GET", "/platform/v1/tokenContext", 202),
    ],
)
def test_each_route_needs_its_scopes(sandbox, scope, method, path, status):
    sandbox.token = sandbox.sign_in(scope=scope).json()["access_token"]
    answer = sandbox.call(method, path)
    assert answer.status_code == status
    assert status != 403 or answer.json()["errorcode"] == 20002
