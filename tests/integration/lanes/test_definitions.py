"""Definitions that are fetched while there is work: what waits for them, and what does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
