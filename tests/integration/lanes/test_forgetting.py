"""Forgetting what was delivered, also while sessions are under way that remember it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from app.keys import LANES
from app.reporting.runs import read_backlog
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile


def enqueue(bench: Bench, *, last: str) -> None:
    bench.producer.enqueue("camp", [profile("c-1", email="c1@mail.test", first="Ann", last=last)])


def work_off(bench: Bench) -> None:
    while read_backlog(bench.redis, "camp").total:
        for lane in range(LANES):
            bench.workers[0].drain("camp", lane)


def test_a_session_under_way_does_not_write_back_what_was_forgotten(bench: Bench) -> None:
    enqueue(bench, last="Old")
    work_off(bench)
    bench.admin("PATCH", "settings", {"latency_ms": 400})
    bench.admin("DELETE", "ledger")
    enqueue(bench, last="New")
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(work_off, bench)
        while bench.admin("GET", "ledger/summary")["max_concurrent"] < 1:
            assert not working.done()
        assert bench.resources.destinations.forget_delivered("camp") == 1
        working.result()
    bench.producer.enqueue("camp", [profile("c-1", email="c1@mail.test", first="Ann")])
    work_off(bench)
    # what was in flight is not settled, so it is sent again with all values
    assert bench.admin("GET", "ledger/summary")["contact_ok"] == 2, "every value is sent anew"


def test_forgetting_tells_of_how_many_contacts(bench: Bench) -> None:
    bench.producer.enqueue("camp", [profile(f"c-{n}", email=f"c{n}@mail.test") for n in range(40)])
    work_off(bench)
    assert bench.resources.destinations.count_delivered("camp") == 40
    assert bench.resources.destinations.forget_delivered("camp") == 40
    assert bench.resources.destinations.count_delivered("camp") == 0
