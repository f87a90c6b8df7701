"""Definitions that are fetched while there is work: what waits for them, and what does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from app.delivery.wakeup import Delivery
from app.destinations import operating
from app.destinations.model import Destination, Limits
from app.destinations.state import Status
from app.errors import AccountThrottled
from app.event_loop import EVENT_LOOP, THREADS
from app.keys import AccountKeys, DestinationKeys
from app.mapping.compiled import CompiledMapping
from app.pacing.shown import read_pace
from app.reporting.jobs import read_job
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile

LEASE_SECONDS = 2.0


@pytest.fixture
def hasty(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port, lease_seconds=LEASE_SECONDS)
    yield made
    made.close()


def test_definitions_may_take_longer_than_a_lease(hasty: Bench) -> None:
    """The mapping names a field that was made since the definitions were fetched."""
    bench, worker = hasty, hasty.workers[0]
    worker.mapping(bench.destination)
    bench.admin("PUT", "attributes", {"add": [{"name": "made_since"}]})
    bench.admin(
        "POST",
        "faults",
        {"kind": "slow", "route": "definitions", "times": None, "delay_seconds": 1.5 * LEASE_SECONDS},
    )
    bench.connect(mapping_id="made_since")
    job = bench.producer.enqueue("camp", [profile("c-1", email="a@mail.test")])
    ((lane, _),) = bench.wake_ups()
    worker.drain("camp", lane)
    assert read_job(bench.redis, job).outcomes["delivered"] == 1


async def reload_many(worker: Delivery, destination: Destination) -> list[asyncio.Future[CompiledMapping]]:
    """Of as many destinations as there are threads of a kind."""
    return [
        asyncio.ensure_future(worker.mappings.reload(replace(destination, id=f"camp-{number}")))
        for number in range(THREADS)
    ]


def test_definitions_that_hang_keep_no_session_of_other_destinations(bench: Bench) -> None:
    worker, destination = bench.workers[0], bench.destination
    worker.mapping(destination)
    bench.admin("POST", "faults", {"kind": "slow", "route": "definitions", "times": None, "delay_seconds": 4})

    async def ask() -> tuple[bool, int]:
        reloads = await reload_many(worker, destination)
        await asyncio.sleep(0)  # each has its thread
        goes_on = await worker.staying.goes_on(destination, 3, time.monotonic())
        ended = sum(reload.done() for reload in reloads)
        await asyncio.gather(*reloads, return_exceptions=True)
        return goes_on, ended

    assert EVENT_LOOP.run(ask()) == (True, 0)


def test_definitions_that_need_another_token_do_not_wait_for_one_another(bench: Bench) -> None:
    """All threads that fetch definitions wait for a token, for which there has to be a thread."""
    worker, destination = bench.workers[0], bench.destination
    worker.mapping(destination)
    bench.admin("POST", "faults", {"kind": "expired_token", "route": "definitions", "times": THREADS})

    async def ask() -> list[object]:
        reloads = await reload_many(worker, destination)
        return await asyncio.wait_for(asyncio.gather(*reloads, return_exceptions=True), 60)

    ended = EVENT_LOOP.run(ask())
    assert any(isinstance(mapping, CompiledMapping) for mapping in ended)


def catalog(bench: Bench, destination_id: str = "camp") -> Any:
    return bench.redis.get(DestinationKeys(destination_id).catalog)


def test_who_only_tries_a_destination_changes_nothing_of_the_connected_one(bench: Bench) -> None:
    bench.workers[0].mapping(bench.destination)
    before = catalog(bench)
    bench.admin("PUT", "attributes", {"add": [{"name": "made_since"}]})
    assert operating.try_destination(bench.resources, bench.destination).ok
    disagreeing = replace(bench.destination, id="other", limits=Limits(calls_per_minute=60))
    assert not operating.connect(bench.resources, disagreeing).connected
    assert catalog(bench) == before
    assert not list(bench.redis.scan_iter(DestinationKeys("other").everything))


@pytest.mark.parametrize("how", ["connected", "checked"])
def test_who_is_connected_or_checked_has_the_definitions_of_now(bench: Bench, how: str) -> None:
    bench.workers[0].mapping(bench.destination)
    bench.admin("PUT", "attributes", {"add": [{"name": "made_since"}]})
    if how == "connected":
        assert operating.connect(bench.resources, bench.destination).connected
    else:
        assert operating.check(bench.resources, "camp").ok
    assert b"made_since" in catalog(bench)


def test_a_field_that_cannot_be_updated_is_found_before_a_profile_fails_by_it(bench: Bench) -> None:
    bench.admin("PUT", "attributes", {"add": [{"name": "fixed_since", "isUpdateable": False}]})
    found = operating.try_destination(bench.resources, bench.connect(mapping_id="fixed_since"))
    assert not found.ok
    assert "is read-only" in str(found.problems)


def waits(bench: Bench) -> float:
    """For how many seconds the account is left alone."""
    return read_pace(bench.redis, bench.destination.account.key, bench.destination.limits).wait_seconds


@pytest.mark.parametrize("known", [True, False], ids=["a catalog that is old", "no catalog yet"])
def test_an_account_that_asks_to_wait_for_its_definitions_is_left_alone(bench: Bench, known: bool) -> None:
    """It is no trouble of the destination."""
    if known:
        bench.workers[0].mapping(bench.destination)
        bench.admin("PUT", "attributes", {"remove": ["First Name"]})
    bench.admin("POST", "faults", {"kind": "rate_limited", "route": "definitions", "retry_after": 5})
    job = bench.producer.enqueue("camp", [profile("c-1", email="a@mail.test", first="Ann")])
    ((lane, _),) = bench.wake_ups()
    back = bench.workers[0].drain("camp", lane)
    assert bench.resources.states.get("camp").status is Status.ENABLED
    assert waits(bench) > 3
    assert (back.come_back_seconds or 0) > 3
    bench.admin("PUT", "attributes", {"add": [{"name": "First Name"}]})
    operating.resume(bench.resources, "camp")
    bench.workers[1].drain("camp", lane)
    assert read_job(bench.redis, job).outcomes["delivered"] == 1


@pytest.mark.parametrize("is_throttled", [False, True])
def test_lanes_that_need_definitions_at_once_ask_for_them_once(bench: Bench, is_throttled: bool) -> None:
    """And an answer of 429 is noted once: the pace must not see more refusals than there were."""
    bench.admin("PATCH", "settings", {"latency_ms": 500})
    if is_throttled:
        bench.admin("POST", "faults", {"kind": "rate_limited", "route": "definitions", "retry_after": 5, "times": None})
    job = bench.producer.enqueue("camp", [profile(f"c-{n}", email="a@mail.test") for n in range(30)])
    lanes = [lane for lane, _ in bench.wake_ups()]
    with ThreadPoolExecutor(len(lanes)) as pool:
        backs = list(pool.map(partial(bench.workers[0].drain, "camp"), lanes))
    asked = [call for call in bench.admin("GET", "ledger")["calls"] if call["route"] == "definitions"]
    assert len(asked) == 1
    assert len(lanes) > 5
    if is_throttled:
        assert all((back.come_back_seconds or 0) > 3 for back in backs)
        assert bench.redis.hget(AccountKeys(bench.destination.account.key).observed, "throttled") == b"1"
    else:
        assert read_job(bench.redis, job).outcomes["delivered"] == 30


def test_a_look_at_the_catalog_that_had_to_wait_is_made_again(bench: Bench) -> None:
    """Else the profile would fail by a catalog that nobody has looked at."""
    bench.workers[0].mapping(bench.destination)
    bench.admin("POST", "faults", {"kind": "rate_limited", "route": "definitions", "retry_after": 1})
    bench.admin("POST", "faults", {"kind": "fail", "route": "contacts", "result_code": "AttributeNotFound", "times": 2})
    job = bench.producer.enqueue("camp", [profile("c-1", email="a@mail.test", first="Ann")])
    ((lane, _),) = bench.wake_ups()
    bench.workers[0].drain("camp", lane)
    assert read_job(bench.redis, job).outcomes["delivered"] == 1


def test_whoever_asks_about_an_account_that_asks_to_wait_makes_all_wait(bench: Bench) -> None:
    bench.admin("POST", "faults", {"kind": "blocked", "route": "definitions"})
    with pytest.raises(AccountThrottled):
        operating.check(bench.resources, "camp")
    assert waits(bench) > 50
