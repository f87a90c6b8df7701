"""What is swept away of a destination, a little at each sweep."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.keys import JOB_LIFE_SECONDS
from app.sweep.retention import JOBS_AT_ONCE, drop_rows, forget_old_jobs
from tests.integration.lanes.conftest import Bench


@pytest.fixture
def bench(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    yield made
    made.close()


def test_old_jobs_that_are_pending_keep_no_ended_ones_behind_them(bench: Bench) -> None:
    now_ms = bench.resources.clock.now_ms()
    old_ms = now_ms - JOB_LIFE_SECONDS * 1000 - 1_000
    pending = {f"pending-{number:04}": old_ms for number in range(JOBS_AT_ONCE)}
    for job in pending:
        bench.redis.hset(bench.keys.job(job), "received", 1)
    bench.redis.zadd(
        bench.keys.jobs, {**pending, **{f"ended-{number:04}": old_ms + 1 for number in range(JOBS_AT_ONCE + 50)}}
    )
    bench.redis.zadd(bench.keys.jobs, {"young": now_ms})
    for _ in range(3):
        forget_old_jobs(bench.resources, "camp")
    assert {job.decode() for job in bench.redis.zrange(bench.keys.jobs, 0, -1)} == {*pending, "young"}
    bench.redis.delete(bench.keys.job("pending-0000"))
    for _ in range(2):
        forget_old_jobs(bench.resources, "camp")
    assert bench.redis.zscore(bench.keys.jobs, "pending-0000") is None, "those before have their turn again"


def test_forgetting_jobs_writes_nothing_of_a_destination_that_is_gone(bench: Bench) -> None:
    bench.redis.zadd(bench.keys.jobs, {f"job-{number}": 1 for number in range(JOBS_AT_ONCE)})
    bench.redis.hset(bench.keys.job("job-1"), "received", 1)
    bench.redis.delete(bench.keys.epoch)
    forget_old_jobs(bench.resources, "camp")
    assert not bench.redis.exists(bench.keys.jobs_looked_at)


def test_a_row_that_was_settled_since_it_was_read_stays(bench: Bench) -> None:
    key = bench.keys.lane(3).delivered("an-account")
    bench.redis.hset(key, mapping={"old": "1", "renewed": "1", "young": "1"})
    bench.redis.hset(key, "renewed", "2")
    drop_rows(bench.redis, key, {b"old": b"1", b"renewed": b"1", b"gone": b"1"})
    assert bench.redis.hgetall(key) == {b"renewed": b"2", b"young": b"1"}
