"""Counts and times of the whole installation, on a real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from app.keys import LANES, DestinationKeys
from app.producer import Producer
from app.reporting.histograms import Timed, read_histogram
from app.reporting.measures import Measures
from app.reporting.metrics import make_registry
from app.reporting.processes import note_process, note_sweep, this_process
from app.reporting.runs import read_backlog, read_counts, read_runs
from app.reporting.totals import fold_runs, read_totals
from app.reporting.waiting import oldest_waiting_age_seconds
from app.resources import Resources, connect
from tests.integration.lanes.conftest import Bench, waiting
from tests.system.rig import profile

HOUR_MS = 3_600_000


@pytest.fixture
def bench(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    yield made
    made.close()


def deliver(bench: Bench, count: int) -> None:
    bench.resources.measures.begin(bench.resources.clock)
    bench.producer.enqueue(
        "camp",
        [
            profile(f"c-{n}", email=f"c{n}@mail.test", segments={"seg-1": ("realized", "2026-11-22T10:00:00Z")})
            for n in range(count)
        ],
    )
    deadline = time.monotonic() + 150
    while read_backlog(bench.redis, "camp").total:
        assert time.monotonic() < deadline
        for lane in range(LANES):
            bench.workers[0].drain("camp", lane)
    bench.resources.measures.flush(bench.redis, bench.resources.clock)


class Samples(dict[tuple[str, tuple[str, ...]], float]):
    """By name and label values, in any order."""

    def __missing__(self, key: tuple[str, tuple[str, ...]]) -> float:
        name, labels = key
        return next(
            value for (other, found), value in self.items() if other == name and sorted(found) == sorted(labels)
        )


def samples(bench: Bench) -> Samples:
    text = generate_latest(make_registry(bench.redis, bench.resources.settings)).decode()
    return Samples(
        {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def test_counts_and_times_of_deliveries(bench: Bench) -> None:
    before = samples(bench)
    deliver(bench, 30)
    found = samples(bench)
    assert before["activation_profiles_total", ("camp", "delivered")] == 0
    assert found["activation_profiles_total", ("camp", "received")] == 30
    assert found["activation_profiles_total", ("camp", "delivered")] == 30
    assert found["activation_calls_total", ("camp",)] == 30
    assert found["activation_answers_total", ("camp", "accepted")] == 30
    assert found["activation_call_seconds_bucket", ("camp", "+Inf")] == 30
    assert found["activation_acceptance_seconds_count", ("camp",)] == 30
    assert found["activation_acceptance_seconds_sum", ("camp",)] > 0
    assert found["activation_enqueue_seconds_count", ("camp",)] == 1
    assert found["activation_token_requests_total", (bench.destination.account.key, "granted")] == 1
    assert found["activation_segment_deliveries_total", ("camp", "seg-1", "realized")] == 30
    (run,) = read_runs(bench.redis, "camp", hours=1)
    assert run.matched["Email Addresses.Email Address"] == 30
    ((_, counts),) = read_counts(bench.redis, "camp", hours=1)
    calls = read_histogram(Timed.CALL, counts)
    assert calls.count == 30
    assert 0 < calls.sum_seconds < 30 * 120


def test_a_throttled_call_is_counted_as_such(bench: Bench) -> None:
    measures = Measures()
    from app.errors import AccountThrottled, Throttle, TransientFailure

    measures.called("camp", 0.2, AccountThrottled("Too fast.", kind=Throttle.RATE))
    measures.called("camp", 3.0, TransientFailure("No answer.", code="read_timeout"))
    measures.flush(bench.redis, bench.resources.clock)
    found = samples(bench)
    assert found["activation_throttles_total", ("camp", "rate")] == 1
    assert found["activation_answers_total", ("camp", "transient_failure")] == 1
    assert found["activation_call_seconds_sum", ("camp",)] == pytest.approx(3.2)


def test_counters_only_grow_while_hours_end_and_are_folded(bench: Bench) -> None:
    hour = bench.hour()
    keys = DestinationKeys("camp")
    for back in range(3):
        bench.redis.hset(keys.run(hour - back), mapping={"received": 10, "why:invalid_value|mapping[2]": 2})
    now_ms = hour * HOUR_MS + 400_000
    expected = {"received": 30, "why:invalid_value": 6}
    assert read_totals(bench.redis, "camp", now_ms) == expected
    assert fold_runs(bench.redis, "camp", now_ms) == 2
    assert read_totals(bench.redis, "camp", now_ms) == expected
    assert fold_runs(bench.redis, "camp", now_ms) == 0, "each run once"
    bench.redis.delete(keys.run(hour - 1), keys.run(hour - 2))
    assert read_totals(bench.redis, "camp", now_ms) == expected, "as when they are 35 days old"
    assert fold_runs(bench.redis, "camp", now_ms + HOUR_MS) == 1
    assert read_totals(bench.redis, "camp", now_ms + HOUR_MS) == expected


def test_a_run_is_not_folded_while_it_may_still_grow(bench: Bench) -> None:
    hour = bench.hour()
    assert (
        fold_runs(bench.redis, "camp", hour * HOUR_MS + 299_000) == fold_runs(bench.redis, "camp", hour * HOUR_MS) + 2
    )
    assert bench.redis.hget(DestinationKeys("camp").totals, "folded") == str(hour - 1).encode()


def test_what_was_measured_waits_for_redis_and_is_not_lost(bench: Bench) -> None:
    measures = Measures()
    measures.called("camp", 0.1, None)
    away = connect("redis://127.0.0.1:1/0")
    measures.flush(away, bench.resources.clock)
    measures.called("camp", 0.1, None)
    measures.flush(bench.redis, bench.resources.clock)
    assert read_totals(bench.redis, "camp", bench.resources.clock.now_ms())["answer:accepted"] == 2


def test_a_process_with_two_installations_counts_for_each(bench: Bench, redis_port: int) -> None:
    other = Resources.from_settings(replace(bench.resources.settings, redis_url=f"redis://127.0.0.1:{redis_port}/1"))
    other.destinations.save(bench.destination)
    for resources in (bench.resources, other):
        Producer(resources, bench.waker).enqueue("camp", [profile("a", email="a@mail.test")])
    for resources in (other, bench.resources):
        resources.measures.flush(resources.redis, resources.clock)
    for resources in (bench.resources, other):
        ((_, counts),) = read_counts(resources.redis, "camp", hours=2)
        assert read_histogram(Timed.ENQUEUE, counts).count == 1
    other.redis.close()


def test_nothing_is_written_for_a_destination_that_is_gone(bench: Bench) -> None:
    measures = Measures()
    measures.called("camp", 0.1, None)
    bench.resources.destinations.remove("camp")
    measures.flush(bench.redis, bench.resources.clock)
    assert list(bench.redis.scan_iter(DestinationKeys("camp").everything)) == []


def test_the_age_of_the_oldest_is_by_when_it_was_enqueued(bench: Bench) -> None:
    assert oldest_waiting_age_seconds(bench.redis, "camp").live is None
    bench.producer.enqueue("camp", [profile("a", email="a@mail.test")])
    lane = next(bench.keys.lane(n) for n in range(16) if bench.redis.xlen(bench.keys.lane(n).live))
    old = bench.resources.clock.now_ms() - 100_000
    bench.redis.xadd(lane.parked, waiting("job-1", old) | {"f": "b"})
    found = oldest_waiting_age_seconds(bench.redis, "camp")
    assert found.live is not None
    assert found.live < 60
    assert found.backfill == found.parked == pytest.approx(100, abs=10)


@pytest.mark.parametrize("ages", [(300, 100), (100, 300)], ids=["first", "last"])
def test_a_parked_profile_counts_as_what_it_is(bench: Bench, ages: tuple[int, int]) -> None:
    now_ms = bench.resources.clock.now_ms()
    for age in ages:
        bench.redis.xadd(bench.keys.lane(3).parked, waiting("job-1", now_ms - age * 1000))
    found = oldest_waiting_age_seconds(bench.redis, "camp")
    assert found.live == found.parked == pytest.approx(300, abs=10)
    assert found.backfill is None


def test_what_is_replayed_waits_since_then(bench: Bench) -> None:
    lane = bench.keys.lane(0)
    old = bench.resources.clock.now_ms() - 100_000
    bench.redis.xadd(lane.live, waiting("replay-1", old))
    found = oldest_waiting_age_seconds(bench.redis, "camp")
    assert found.live is not None
    assert found.live < 60


def test_processes_and_sweeps_show_whether_they_are_alive(bench: Bench) -> None:
    now_ms = bench.resources.clock.now_ms()
    process = this_process("worker-1@here", "worker", now_ms=now_ms, queues=("delivery",))
    note_process(bench.redis, process, now_ms=now_ms)
    note_process(bench.redis, this_process("gone@here", "worker", now_ms=0), now_ms=now_ms - 40_000)
    note_sweep(bench.redis, now_ms=now_ms - 5_000)
    found = samples(bench)
    assert found["activation_process_up", ("worker-1@here", "worker", process.version)] == 1
    assert found["activation_process_up", ("gone@here", "worker", process.version)] == 0
    assert 5 <= found["activation_sweep_age_seconds", ()] < 60


def test_runs_read_as_before(bench: Bench) -> None:
    deliver(bench, 3)
    (run,) = read_runs(bench.redis, "camp", hours=1)
    assert (run.received, run.outcomes["delivered"], run.calls, run.reasons) == (3, 3, 3, {})
