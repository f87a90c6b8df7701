"""Sessions that take longer than a lease, or in which something changes that the session does not know."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from app.delivery.wakeup import Delivery
from app.event_loop import EVENT_LOOP, LongComputation
from app.keys import LANES
from app.reporting.jobs import read_job
from app.resources import Resources
from app.sealing import make_key
from app.sweep import sweep
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile

LEASE_SECONDS = 1.5


@pytest.fixture
def quick(redis_url: str, redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    """Leases end soon."""
    made = Bench(
        f"redis://127.0.0.1:{redis_port}/0", sandbox_port, lease_seconds=LEASE_SECONDS, connect_timeout_seconds=0.1
    )
    yield made
    made.close()


def lane_with_work(bench: Bench) -> int:
    return next(number for number in range(LANES) if bench.redis.xlen(bench.keys.lane(number).live))


def test_a_lane_is_kept_while_others_open_their_profiles(quick: Bench) -> None:
    worker = quick.workers[0]
    worker.mapping(quick.destination)
    job = quick.producer.enqueue("camp", [profile("c-1", email="c1@mail.test")])
    lane = lane_with_work(quick)
    until = time.monotonic() + 3 * LEASE_SECONDS

    async def others() -> None:
        async with LongComputation() as computation:
            while time.monotonic() < until:
                await computation.pause()

    with ThreadPoolExecutor(2) as threads:
        opening = threads.submit(EVENT_LOOP.run, others())
        session = threads.submit(worker.drain, "camp", lane)
        holders = set()
        while not opening.done():
            holders.add(quick.redis.get(quick.keys.lane(lane).lease))
            time.sleep(0.05)
        session.result()
    assert len(holders - {None}) == 1
    assert read_job(quick.redis, job).outcomes["delivered"] == 1
    assert not quick.redis.exists(quick.keys.lane(lane).crashes)


def test_a_key_that_a_worker_lacks_blames_no_contact(bench: Bench) -> None:
    """The destination is connected anew with it in the middle of a session."""
    worker = bench.workers[0]
    worker.mapping(bench.destination)
    begun = time.monotonic()
    going_on = (bench.destination, 3, begun)
    assert EVENT_LOOP.run(worker.staying.goes_on(*going_on))
    settings = bench.resources.settings
    other = Resources.from_settings(replace(settings, secret_keys=f"{make_key()},{settings.secret_keys}"))
    other.destinations.save(bench.destination)
    assert not EVENT_LOOP.run(Delivery(bench.resources).staying.goes_on(*going_on))


@pytest.mark.parametrize(("waiting", "sent"), [(LANES, 0), (LANES - 1, 1), (0, 1)])
def test_wake_ups_that_wait_long_get_no_company_without_end(bench: Bench, waiting: int, sent: int) -> None:
    bench.producer.enqueue("camp", [profile("c-1", email="c1@mail.test")])
    bench.redis.delete(bench.keys.lane(lane_with_work(bench)).wake)  # it has waited for so long that it counts as lost
    bench.wake_ups()
    if waiting:
        bench.redis.lpush("delivery", *range(waiting))  # as Celery keeps its messages
    assert sweep(bench.resources, bench.waker) == len(bench.wake_ups()) == sent
