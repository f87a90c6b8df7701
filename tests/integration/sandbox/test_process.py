from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.integration.sandbox.client import Sandbox, start, stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_promptly_with_a_call_under_way(number):
    process, url = start()
    sandbox = Sandbox(url)
    with sandbox.http, ThreadPoolExecutor(1) as pool:
        assert sandbox.admin("GET", "/health") == {"status": "ok", "tenant": "default"}
        sandbox.switch(latency_ms=60_000)
        assert sandbox.token
        under_way = pool.submit(sandbox.patch)
        with requests.Session() as other:
            while not other.get(f"{url}/_sandbox/ledger/summary", timeout=10).json()["max_concurrent"]:
                time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert isinstance(under_way.exception(10), requests.ConnectionError)
    assert stop(process) == (0, "")


def test_an_address_beyond_loopback_is_warned_of():
    process, url = start("--host", "0.0.0.0")
    assert requests.get(f"{url}/_sandbox/health", timeout=10).ok
    code, errors = stop(process)
    assert code == 0
    assert errors.startswith("Warning: anyone who can reach 0.0.0.0")


def test_seeded_attributes_fill_further_pages_before_email_demographics():
    process, url = start("--seed-attributes", "2500")
    try:
        sandbox = Sandbox(url)
        with sandbox.http:
            path = "/contacts/v1/attributeSetDefinitions"
            pages = [sandbox.call("GET", f"{path}?$page={page}&$pageSize=30").json() for page in (1, 2, 3, 4)]
            assert [len(page["items"]) for page in pages] == [30, 30, 8, 0]
            assert {page["count"] for page in pages} == {68}
            keys = [one["key"] for page in pages for one in page["items"]]
            assert keys.index("ExtraSet63") < keys.index("EmailDemographics")
            extra = [one for page in pages for one in page["items"] if one["key"].startswith("ExtraSet")]
            assert sum(len(one["attributes"]) for one in extra) == 2500
            assert len(sandbox.call("GET", path).json()["items"]) == 50
    finally:
        stop(process)


def test_tenants_do_not_see_each_other(server):
    ours, theirs = Sandbox(f"{server}/t/mc-ours"), Sandbox(f"{server}/t/mc-theirs")
    with ours.http, theirs.http:
        ours.switch(latency_ms=1)
        assert ours.patch("k1").status_code == 200
        assert theirs.contacts == {}
        assert theirs.admin("GET", "/settings")["latency_ms"] == 0
        theirs.token = ours.token
        assert theirs.patch("k1").status_code == 401
