"""Which wake-ups are sent when a session ends otherwise than well: none is left to the sweep."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from app.delivery.wakeup import Delivery
from app.destinations.state import Status
from app.errors import DestinationUnreachable
from app.lanes.delivered import contact_tag
from app.lanes.lane import ANY_WAKE_UP, Lane, lane_of
from app.round_trips import Step
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile

LANE, OTHER = 3, 7


def keys_of(bench: Bench, lane: int) -> Iterator[str]:
    """Contact keys that belong to the lane."""
    pepper = bench.resources.destinations.pepper("camp")
    return (f"c-{n}" for n in range(10_000) if lane_of(contact_tag(f"c-{n}", pepper)) == lane)


def enqueue_one_that_stays_and_one_that_moves(bench: Bench) -> None:
    """Both wait in LANE; by the contact key that is mapped since, one of them belongs to OTHER."""
    here, there = keys_of(bench, LANE), keys_of(bench, OTHER)
    bench.producer.enqueue(
        "camp",
        [
            {
                **profile("", email=f"{number}@mail.test"),
                "identityMap": {"contactKey": [{"id": next(here)}], "other": [{"id": next(by)}]},
            }
            for number, by in enumerate((here, there))
        ],
    )
    bench.connect(key="other")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "missing_scope", "times": 1},  # the destination is stopped
        {"kind": "rate_limited", "times": 1, "retry_after": 30},  # the account is left alone
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_lane_that_got_entries_of_one_that_has_to_wait_is_woken(bench: Bench, fault: dict[str, Any]) -> None:
    enqueue_one_that_stays_and_one_that_moves(bench)
    bench.admin("POST", "faults", fault)
    result = bench.workers[0].drain("camp", LANE)
    assert result.come_back_seconds is not None
    assert result.wake == (OTHER,)


def test_a_lane_that_got_entries_before_the_epoch_ended_is_woken(bench: Bench) -> None:
    enqueue_one_that_stays_and_one_that_moves(bench)
    bench.admin("POST", "faults", {"kind": "slow", "times": 1, "delay_seconds": 2})
    with ThreadPoolExecutor(1) as threads:
        session = threads.submit(bench.workers[0].drain, "camp", LANE)
        deadline = time.monotonic() + 10
        while not bench.redis.xlen(bench.keys.lane(OTHER).live):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        bench.connect(key="contactKey")
        result = session.result()
    assert set(result.wake) == {LANE, OTHER}


@pytest.mark.parametrize("lane", [LANE, OTHER])
def test_a_lane_that_was_left_without_a_word_is_woken_when_redis_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, lane: int
) -> None:
    """Whichever lane's wake-up comes next."""
    worker = Delivery(bench.resources, wake=bench.waker.wake)
    bench.producer.enqueue("camp", [profile(next(keys_of(bench, LANE)), email="a@mail.test")])

    def away(*_: Any, **__: Any) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(Lane, "settling", away)
    monkeypatch.setattr(Lane, "abandon", away)
    with pytest.raises(RedisConnectionError):
        worker.drain("camp", LANE)
    monkeypatch.undo()
    bench.wake_ups()
    worker.drain("camp", lane)
    assert bench.wake_ups() == [(LANE, ANY_WAKE_UP)]
    worker.give_back()


def away_for_the_whole_retry_window(bench: Bench) -> None:
    states, settings = bench.resources.states, bench.resources.settings
    error = DestinationUnreachable("away", code="outage")
    states.fail("camp", error, status=Status.DEGRADED, generation=0)
    bench.redis.hset(
        bench.keys.state,
        mapping={
            "since_ms": 1,
            "tries": settings.retry_minimum,
            "next_probe_ms": bench.resources.clock.now_ms() + 60_000,
        },
    )


def enqueue_long_ago(bench: Bench) -> None:
    bench.resources.clock.now_ms()
    bench.resources.clock._server.ahead_seconds -= 2 * bench.resources.settings.retry_window_seconds
    bench.producer.enqueue("camp", [profile(next(keys_of(bench, LANE)), email="a@mail.test")])
    bench.resources.clock._server.ahead_seconds += 2 * bench.resources.settings.retry_window_seconds


@pytest.mark.parametrize("trouble", ["Redis is away", "the epoch ends"])
def test_a_lane_is_free_when_giving_up_what_is_old_comes_to_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    enqueue_long_ago(bench)
    away_for_the_whole_retry_window(bench)
    settling, met = Lane.settling, []

    def meet_trouble(lane: Lane, *arguments: Any, **more: Any) -> Step[None]:
        met.append(lane.number)
        if trouble == "Redis is away":
            raise RedisConnectionError
        bench.connect(key="other")
        return settling(lane, *arguments, **more)

    monkeypatch.setattr(Lane, "settling", meet_trouble)
    with suppress(RedisConnectionError):
        bench.workers[0].drain("camp", LANE)
    assert met == [LANE]
    assert not bench.redis.exists(bench.keys.lane(LANE).lease)
    assert bench.redis.xlen(bench.keys.lane(LANE).live) == 1


def test_what_is_replayed_to_a_destination_that_is_still_away_is_not_given_up_at_once(bench: Bench) -> None:
    """A replay keeps the stamp of its first time, by which it would be as old as the retry window is long."""
    enqueue_long_ago(bench)
    away_for_the_whole_retry_window(bench)
    bench.workers[0].drain("camp", LANE)
    store = bench.resources.failures("camp")
    assert len(store) == 1
    bench.producer.replay("camp", store, list(store.all()))
    bench.workers[0].drain("camp", LANE)
    assert (len(store), bench.redis.xlen(bench.keys.lane(LANE).live)) == (0, 1)
