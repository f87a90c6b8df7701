from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.integration.sandbox.client import message


def test_the_ledger_tells_each_call_once(sandbox):
    sandbox.patch("k1", Market="DE")
    page = sandbox.admin("GET", "/ledger")
    assert [one["route"] for one in page["calls"]] == ["token", "contacts"]
    call = page["calls"][1]
    assert call["body"] == message("k1", Market="DE")
    assert (call["n"], call["method"], call["status"], call["contact_key"]) == (1, "PATCH", 200, "k1")
    assert (call["stored"], call["fault"]) == (True, None)
    assert call["started"] <= call["ended"]
    sandbox.switch(keep_ledger_bodies=False)
    sandbox.patch("k2")
    following = sandbox.admin("GET", f"/ledger?since={page['next']}")
    assert [(one["contact_key"], one["body"]) for one in following["calls"]] == [("k2", None)]
    assert following["next"] == 3


def test_the_sums(sandbox):
    sandbox.patch("k1", Market="DE")
    sandbox.patch("k1", Market="DE")
    sandbox.patch("k1", Market="FR")
    sandbox.patch("k1", no_such="x")
    sandbox.fault("server_error")
    sandbox.patch("k1")
    summary = sandbox.summary
    assert (summary["token_requests"], summary["contact_calls"], summary["contact_ok"]) == (1, 5, 3)
    assert summary["by_status"] == {"200": 4, "500": 1}
    assert summary["identical_repeats"] == 1
    assert sum(summary["per_second"].values()) == 3
    assert summary["overlaps"] == 0
    assert summary["first_call"] <= summary["last_call"]


def test_overlapping_calls_for_one_contact_are_seen(sandbox):
    sandbox.switch(latency_ms=300)
    assert sandbox.token
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(sandbox.patch, ["same", "same", "other"]))
    assert sandbox.summary["overlaps"] == 1
    assert sandbox.summary["max_concurrent"] == 3


def test_clear_and_reset(sandbox):
    sandbox.patch("k1")
    sandbox.switch(docs_spelling=True)
    sandbox.fault("conflict")
    sandbox.admin("DELETE", "/ledger")
    assert (sandbox.calls, sandbox.summary["contact_calls"]) == ([], 0)
    assert "k1" in sandbox.contacts
    sandbox.admin("POST", "/reset")
    assert sandbox.contacts == {}
    assert sandbox.admin("GET", "/faults") == {"faults": []}
    assert sandbox.admin("GET", "/settings")["docs_spelling"] is False
    assert sandbox.patch().status_code == 401, "tokens are forgotten"
