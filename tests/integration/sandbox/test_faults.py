from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests


@pytest.mark.parametrize(
    ("kind", "status", "code", "retry_after"),
    [
        ("expired_token", 401, 0, None),
        ("missing_scope", 403, 20002, None),
        ("rate_limited", 429, 50100, "7"),
        ("blocked", 429, 50200, None),
        ("server_error", 500, 0, None),
        ("unavailable", 503, 50300, "7"),
        ("html_596", 596, None, None),
        ("html_502", 502, None, None),
        ("bad_request", 400, 10001, None),
        ("invalid_operation", 400, 30001, None),
        ("conflict", 409, 30002, None),
        ("redirect", 302, None, None),
    ],
)
def test_a_fault_answers_once_in_place_of_the_call(sandbox, kind, status, code, retry_after):
    sandbox.fault(kind, retry_after=7)
    answer = sandbox.patch()
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == retry_after
    if code is None:
        assert answer.headers["Content-Type"].startswith("text/html")
    else:
        assert answer.json()["errorcode"] == code
    assert ("Location" in answer.headers) == (kind == "redirect")
    assert sandbox.contacts == {}
    assert sandbox.patch().json()["operationStatus"] == "OK"
    assert [one["fault"] for one in sandbox.calls if one["route"] == "contacts"] == [kind, None]


@pytest.mark.parametrize(("kind", "stored"), [("cut_before", False), ("cut_after", True)])
def test_a_cut_connection(sandbox, kind, stored):
    sandbox.fault(kind)
    with pytest.raises(requests.ConnectionError):
        sandbox.patch()
    assert ("k1" in sandbox.contacts) == stored
    call = sandbox.calls[-1]
    assert (call["status"], call["stored"], call["fault"]) == (0, stored, kind)
    assert sandbox.summary["contact_ok"] == 0


def test_partial_success_loses_the_last_attribute(sandbox):
    sandbox.fault("partial")
    body = sandbox.patch(First__Name="Ann", Market="DE").json()
    assert (body["operationStatus"], body["hasErrors"]) == ("OK", True)
    assert body["contactID"]
    assert "Email Demographics.First Name" in sandbox.contacts["k1"]
    assert "Email Demographics.Market" not in sandbox.contacts["k1"]


def test_partial_success_carries_the_ordered_code(sandbox):
    sandbox.fault("partial", result_code="Made", message="Up.")
    body = sandbox.patch(First__Name="Ann", Market="DE").json()
    assert [(one["resultCode"], one["message"]) for one in body["resultMessages"]] == [("Made", "Up.")]
    assert "Email Demographics.First Name" in sandbox.contacts["k1"]


def test_failure_on_order_carries_the_ordered_code(sandbox):
    sandbox.fault("fail", result_code="Made", message="Up.")
    body = sandbox.patch().json()
    assert body["operationStatus"] == "FAIL"
    assert body["resultMessages"][0] | {"resultCode": "Made", "message": "Up."} == body["resultMessages"][0]
    assert sandbox.contacts == {}


def test_slow_answers_are_right_but_late(sandbox):
    sandbox.fault("slow", delay_seconds=0.3)
    assert sandbox.patch().json()["operationStatus"] == "OK"
    call = sandbox.calls[-1]
    assert call["ended"] - call["started"] >= 0.29


def test_a_fault_strikes_its_contact_route_and_times(sandbox):
    sandbox.fault("server_error", contact_key="k2", times=2)
    sandbox.fault("unavailable", route="definitions")
    assert [sandbox.patch(key).status_code for key in ("k1", "k2", "k2", "k2")] == [200, 500, 500, 200]
    definitions = [sandbox.call("GET", "/contacts/v1/attributeSetDefinitions").status_code for _ in range(2)]
    assert definitions == [503, 200]
    sandbox.fault("server_error", route="token")
    assert [sandbox.sign_in().status_code for _ in range(2)] == [500, 200]
    assert sandbox.admin("GET", "/faults") == {"faults": []}


def test_faults_last_until_cleared_when_times_is_null(sandbox):
    sandbox.fault("conflict", times=None)
    assert [sandbox.patch().status_code for _ in range(3)] == [409] * 3
    assert sandbox.admin("GET", "/faults")["faults"][0]["hits"] == 3
    sandbox.admin("DELETE", "/faults")
    assert sandbox.patch().status_code == 200


def test_chances_repeat_with_their_seed(sandbox):
    def run() -> list[int]:
        sandbox.admin("DELETE", "/faults")
        sandbox.fault("server_error", times=None, probability=0.3, seed=5)
        sandbox.fault("conflict", times=None, probability=0.3, seed=6)
        return [sandbox.patch().status_code for _ in range(40)]

    first = run()
    assert set(first) == {200, 409, 500}
    assert run() == first


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "fire"},
        {"kind": "slow", "speed": 1},
        {"kind": "slow", "times": 0},
        {"kind": "slow", "probability": 2},
        {"kind": "slow", "route": "other"},
        {"kind": "slow", "delay_seconds": "1"},
        [],
    ],
)
def test_bad_orders_are_refused(sandbox, order):
    url = f"{sandbox.base_url}/_sandbox/faults"
    assert sandbox.http.post(url, json=order, timeout=10).status_code == 400
    assert sandbox.admin("GET", "/faults") == {"faults": []}


@pytest.mark.parametrize(
    "change", [{"no_such": 1}, {"latency_ms": -1}, {"latency_ms": True}, {"host_spelling": "x"}, {"ip_refused": 1}, []]
)
def test_bad_settings_are_refused_as_a_whole(sandbox, change):
    url = f"{sandbox.base_url}/_sandbox/settings"
    body = {"latency_ms": 5} | change if isinstance(change, dict) else change
    before = sandbox.admin("GET", "/settings")
    assert sandbox.http.patch(url, json=body, timeout=10).status_code == 400
    assert sandbox.admin("GET", "/settings") == before


def test_rate_limit_is_a_token_bucket(sandbox):
    sandbox.switch(calls_per_second=0.001, burst=3)
    answers = [sandbox.patch() for _ in range(5)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429, 429]
    assert (answers[4].json()["errorcode"], answers[4].headers["Retry-After"]) == (50100, "1")
    assert sandbox.summary["throttled"] == 2


def test_too_many_at_once_are_blocked(sandbox):
    sandbox.switch(max_concurrent=2, latency_ms=400)
    assert sandbox.token
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda n: sandbox.patch(f"k{n}"), range(5)))
    statuses = [one.status_code for one in answers]
    assert statuses.count(200) == 2
    assert {one.json()["errorcode"] for one in answers if one.status_code == 429} == {50200}


def test_latency_grows_with_the_calls_under_way(sandbox):
    """A call that came while others were under way ends later than one that came to an idle server, whoever came first."""
    sandbox.switch(latency_ms=600, latency_per_inflight_ms=300, latency_free_inflight=1)
    assert sandbox.token
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: sandbox.patch(f"k{n}"), range(4)))
    calls = sorted((one for one in sandbox.calls if one["route"] == "contacts"), key=lambda one: one["started"])
    took = [one["ended"] - one["started"] for one in calls]
    under_way = [sum(one["started"] < call["started"] < one["ended"] for one in calls) for call in calls]
    assert max(under_way) >= 1
    # so much is owed for each call before it; a busy machine can only add to it
    assert all(seconds >= 0.5 + 0.25 * before for seconds, before in zip(took, under_way, strict=True))


def test_an_unavailable_tenant_and_a_closed_one(sandbox):
    sandbox.switch(unavailable=True, unavailable_retry_after_seconds=9)
    answer = sandbox.sign_in()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "9")
    sandbox.switch(unavailable=False, refuse_connections=True)
    with pytest.raises(requests.ConnectionError):
        sandbox.sign_in()
    sandbox.switch(refuse_connections=False)
    assert sandbox.sign_in().status_code == 200
