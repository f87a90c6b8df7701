"""Definitions are fetched once for all destinations of an account, by whichever of their packages is let in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.destinations.model import Destination
from app.destinations.operating import check
from app.keys import CATALOGS
from app.pacing.account import end_wait
from app.pacing.shown import read_pace
from app.resources import Resources
from app.sweep.refresh import refresh_due
from tests.integration.lanes.conftest import Bench


@pytest.fixture
def bench(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port, catalog_refresh_seconds=0.0)
    yield made
    made.close()


def also_connect(bench: Bench, name: str, **account: str) -> Destination:
    made = replace(bench.destination, id=name, account=replace(bench.destination.account, **account))
    bench.resources.destinations.save(made)
    return made


def fetched(resources: Resources, name: str) -> tuple[bool, bool]:
    """Whether it has definitions, and whether its last fetch failed."""
    return resources.catalogs.get(name) is not None, resources.catalogs.last_failure(name) is not None


def test_a_package_that_is_refused_keeps_the_definitions_of_no_other_stale(bench: Bench) -> None:
    also_connect(bench, "a-refused", client_id="other-client", client_secret="wrong")
    also_connect(bench, "b-refused", client_id="other-client", client_secret="wrong")
    assert refresh_due(bench.resources) == 1
    assert fetched(bench.resources, "camp") == (True, False)
    for refused in ("a-refused", "b-refused"):
        assert fetched(bench.resources, refused) == (True, True)
        failure = bench.resources.catalogs.last_failure(refused)
        assert failure is not None
        assert "client id" in failure.text
    assert bench.admin("GET", "ledger/summary")["token_requests"] == 2, "each package asks once"


def test_an_account_that_does_not_answer_is_asked_once(bench: Bench) -> None:
    nobody = "http://127.0.0.1:1/t/nobody"
    for name in ("a", "b"):
        also_connect(bench, name, client_id=name, auth_base_url=nobody, rest_base_url=nobody)
    bench.resources.destinations.remove("camp")
    assert refresh_due(bench.resources) == 1
    for name in ("a", "b"):
        assert fetched(bench.resources, name) == (False, True)
        assert bench.redis.zscore(CATALOGS, name)


def test_definitions_that_a_check_fetched_are_as_old_as_the_clock_of_redis_says(bench: Bench) -> None:
    clock = bench.resources.clock
    clock.now_ms()
    clock._server.ahead_seconds -= 18_000  # the clock of this machine is five hours ahead of it
    assert check(bench.resources, "camp").ok
    catalog = bench.resources.catalogs.get("camp")
    assert catalog is not None
    assert catalog.fetched_at_ms <= clock.now_ms()


def test_an_account_that_asks_to_wait_is_not_asked_again_meanwhile(bench: Bench) -> None:
    bench.admin("POST", "faults", {"kind": "rate_limited", "route": "definitions", "retry_after": 30})
    assert refresh_due(bench.resources) == 1
    pace = read_pace(bench.redis, bench.destination.account.key, bench.destination.limits)
    assert (pace.why, pace.wait_seconds > 20) == ("rate", True)
    assert refresh_due(bench.resources) == 0
    end_wait(bench.redis, bench.destination.account.key)
    assert refresh_due(bench.resources) == 1
    assert fetched(bench.resources, "camp") == (True, False)
