"""Calls that have their start and wait for something else: a token, or a look whether the catalog is old."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from redis.exceptions import ReadOnlyError

from app.delivery.wakeup import Delivery
from app.destinations.state import Status
from app.keys import LANES, AccountKeys
from app.reporting.jobs import Job, read_job
from app.reporting.runs import read_backlog, read_runs
from tests.integration.intake.conftest import wait_until
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile


def enqueue(bench: Bench, count: int, *, begin: int = 0) -> str:
    realized = {"seg-1": ("realized", "2026-11-22T10:00:00Z")}
    return bench.producer.enqueue(
        "camp", [profile(f"c-{n}", email=f"c{n}@mail.test", segments=realized) for n in range(begin, begin + count)]
    )


def drain(bench: Bench, worker: Delivery, job: str) -> Job:
    """All lanes at once, each for one session."""
    with ThreadPoolExecutor(LANES) as threads:
        list(threads.map(lambda lane: drain_lane(worker, lane), range(LANES)))
    return read_job(bench.redis, job)


def drain_lane(worker: Delivery, lane: int) -> None:
    with suppress(ReadOnlyError):  # the wake-up comes back
        worker.drain("camp", lane)


@pytest.mark.alone
@pytest.mark.parametrize("token", ["none", "not good any more"])
def test_calls_that_waited_for_a_token_do_not_go_out_together(bench: Bench, token: str) -> None:
    destination = bench.connect(calls_per_minute=2_400)
    worker = bench.workers[0]
    worker.mapping(destination)
    bench.admin("PATCH", "settings", {"latency_ms": 50, "calls_per_second": 80, "burst": 3})
    bench.admin("POST", "faults", {"kind": "slow", "route": "token", "times": None, "delay_seconds": 0.7})
    if token == "none":
        worker.client(destination).forget_token()
    else:
        bench.admin("POST", "faults", {"kind": "expired_token", "route": "contacts", "times": 1})
    job = enqueue(bench, 80)
    while read_backlog(bench.redis, "camp").total:
        found = drain(bench, worker, job)
    assert found.outcomes["delivered"] == 80
    assert bench.admin("GET", "ledger/summary")["throttled"] == 0


def test_calls_that_are_refused_while_the_catalog_is_looked_at_fail_nobody(bench: Bench) -> None:
    destination, worker = bench.destination, bench.workers[0]
    worker.mapping(destination)
    assert drain(bench, worker, enqueue(bench, 20)).outcomes["delivered"] == 20
    bench.admin("PUT", "attributes", {"remove": ["salesforce_mc_segment_1"]})
    bench.admin("PATCH", "settings", {"latency_ms": 50})
    bench.admin("POST", "faults", {"kind": "slow", "route": "definitions", "times": None, "delay_seconds": 1})
    job = enqueue(bench, 300, begin=100)
    found = drain(bench, worker, job)
    state = bench.resources.states.get("camp")
    assert (state.status, state.code) == (Status.STOPPED, "mapping_broken")
    assert found.outcomes["failed"] == 0
    assert found.pending == 300, "all of it is kept for when the field is there again"


def answered(bench: Bench) -> bool:
    found = bench.admin("GET", "ledger/summary")
    return bool(found["token_requests"] or found["contact_ok"])


def refusals(bench: Bench) -> int:
    return int(bench.redis.info("stats")["total_error_replies"])


@pytest.mark.parametrize("token", ["none", "not good any more"])
def test_redis_may_be_away_while_a_token_is_fetched_or_dropped(bench: Bench, token: str) -> None:
    destination, worker = bench.destination, bench.workers[0]
    worker.mapping(destination)
    bench.admin("PATCH", "settings", {"latency_ms": 500})
    bench.admin("DELETE", "ledger")
    if token == "none":
        bench.admin("POST", "faults", {"kind": "slow", "route": "token", "times": 1, "delay_seconds": 0.5})
        worker.client(destination).forget_token()
    else:
        bench.admin("POST", "faults", {"kind": "expired_token", "route": "contacts", "times": 1})
    job = enqueue(bench, 20)
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(drain, bench, worker, job)
        lock = AccountKeys(destination.account.key).token_lock(destination.account.client_tag)
        while not bench.redis.exists(lock) and not bench.admin("GET", "ledger/summary")["max_concurrent"]:
            assert not working.done()
        bench.redis.execute_command("REPLICAOF", "127.0.0.1", "1")  # it refuses to write
        wait_until(lambda: answered(bench), "the token or the calls under way are answered")
        known = refusals(bench)
        wait_until(
            lambda: refusals(bench) > known + 20, "what followed from it is refused, as what the lanes ask meanwhile"
        )
        bench.redis.execute_command("REPLICAOF", "NO", "ONE")
        working.result()
    found = read_job(bench.redis, job)
    while read_backlog(bench.redis, "camp").total:
        found = drain(bench, worker, job)
    assert found.outcomes["delivered"] == 20
    assert bench.resources.states.get("camp").status is Status.ENABLED
    assert sum(run.retried for run in read_runs(bench.redis, "camp")) == 0
