"""The event loop of a process, and the steps in Redis that its coroutines send together."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from app.event_loop import EVENT_LOOP, THREADS, LongComputation, Signal
from app.round_trips import MOST_STEPS, RoundTrips, Step


def get(key: str) -> Step[Any]:
    return Step("", "GET", [key], [], lambda reply: reply)


def round_trips(redis: Redis) -> int:
    """How many times Redis has read from its clients."""
    info: Any = redis.info("stats")
    return int(info["total_reads_processed"])


def test_a_thread_waits_for_a_coroutine_and_hears_of_its_error() -> None:
    async def divide(by: int) -> float:
        return 6 / by

    assert EVENT_LOOP.run(divide(3)) == 2
    with pytest.raises(ZeroDivisionError):
        EVENT_LOOP.run(divide(0))


def test_what_blocks_does_not_keep_the_loop() -> None:
    held = threading.Event()

    async def both() -> bool:
        blocked = asyncio.ensure_future(EVENT_LOOP.in_thread(held.wait, 10))
        await asyncio.sleep(0)
        held.set()
        return await blocked

    assert EVENT_LOOP.run(both())


def test_a_signal_that_came_before_is_not_lost() -> None:
    async def wait() -> tuple[float, float]:
        signal = Signal()
        signal.set()
        begun = time.monotonic()
        await signal.wait(10)
        first = time.monotonic() - begun
        asyncio.get_running_loop().call_later(0.01, signal.set)
        await signal.wait(10)
        await signal.wait(0.05)  # nobody sets it: it ends by itself
        return first, time.monotonic() - begun

    first, both = EVENT_LOOP.run(wait())
    assert first < 5
    assert 0.05 < both < 5


def test_others_have_their_turn_in_a_long_computation() -> None:
    async def compute() -> bool:
        turns = []
        asyncio.get_running_loop().call_soon(turns.append, 1)
        deadline = time.monotonic() + 10
        async with LongComputation() as computation:
            while not turns and time.monotonic() < deadline:
                await computation.pause()
        return bool(turns)

    assert EVENT_LOOP.run(compute())


def test_long_computations_come_one_after_another() -> None:
    """So what else is to be done waits for a part of one, and not of each."""
    parts: list[int] = []

    async def compute(number: int) -> None:
        async with LongComputation() as computation:
            for _ in range(3):
                parts.append(number)
                deadline = time.monotonic() + 0.002
                while time.monotonic() < deadline:
                    pass
                await computation.pause()

    async def both() -> None:
        await asyncio.gather(compute(1), compute(2))

    EVENT_LOOP.run(both())
    assert parts == [1, 1, 1, 2, 2, 2]


def test_steps_that_are_asked_for_together_travel_together(redis: Redis) -> None:
    many = 2 * MOST_STEPS
    redis.mset({f"k{n}": n for n in range(many)})
    trips = RoundTrips(redis)

    async def ask() -> list[Any]:
        return await asyncio.gather(*(trips.run(get(f"k{n}")) for n in range(many)))

    before = round_trips(redis)
    found = EVENT_LOOP.run(ask())
    assert [int(value) for value in found] == list(range(many))
    assert round_trips(redis) - before < many / 10


def test_what_can_wait_travels_with_the_next_or_after_its_time(redis: Redis) -> None:
    trips = RoundTrips(redis)

    async def ask() -> list[float]:
        begun = time.monotonic()
        ended = []

        async def wait(key: str, within_seconds: float) -> None:
            await trips.run(get(key), within_seconds=within_seconds)
            ended.append(time.monotonic() - begun)

        await asyncio.gather(wait("k", 30), wait("l", 0))
        await asyncio.gather(wait("k", 0.05), wait("l", 30))
        return ended

    first, second, *late = EVENT_LOOP.run(ask())
    assert first < 5
    assert second < 5
    assert all(0.05 <= seconds < 10 for seconds in late)


def test_a_step_that_is_refused_leaves_its_neighbours_alone(redis: Redis) -> None:
    redis.set("k", "v")
    trips = RoundTrips(redis)
    wrong: Step[Any] = Step("", "HGET", ["k"], ["field"], lambda reply: reply)

    def refuse(reply: Any) -> Any:
        raise ValueError(reply)

    async def ask() -> list[Any]:
        steps = [get("k"), wrong, Step("", "GET", ["k"], [], refuse), get("k")]
        return await asyncio.gather(*map(trips.run, steps), return_exceptions=True)

    first, refused, unread, last = EVENT_LOOP.run(ask())
    assert (first, last) == (b"v", b"v")
    assert isinstance(refused, ResponseError)
    assert isinstance(unread, ValueError)


def test_a_script_that_redis_does_not_know_is_loaded(redis: Redis) -> None:
    redis.script_flush()
    trips = RoundTrips(redis)
    renew: Step[Any] = Step("app.lanes", "renew", ["lease"], ["token", 1_000], lambda reply: reply)
    redis.set("lease", "token")
    assert EVENT_LOOP.run(trips.run(renew)) == 1
    assert redis.pttl("lease") > 0


def test_whoever_asks_hears_that_redis_is_away_and_the_next_that_it_is_back(redis: Redis, redis_url: str) -> None:
    client = Redis.from_url(redis_url, retry=None)
    trips = RoundTrips(client)
    there = client.connection_pool.connection_kwargs["port"]
    client.connection_pool.connection_kwargs["port"] = 1

    async def ask() -> list[Any]:
        return await asyncio.gather(*(trips.run(get("k")) for _ in range(3)), return_exceptions=True)

    assert all(isinstance(error, RedisConnectionError) for error in EVENT_LOOP.run(ask()))
    client.connection_pool.connection_kwargs["port"] = there
    client.connection_pool.reset()
    assert EVENT_LOOP.run(ask()) == [None, None, None]
    client.close()


def test_what_is_slow_keeps_nothing_that_asks_redis() -> None:
    """As token endpoints of many accounts that hang."""
    held = threading.Event()

    async def ask() -> str:
        slow = [asyncio.ensure_future(EVENT_LOOP.in_token_thread(held.wait, 20)) for _ in range(THREADS * 2)]
        try:
            return await asyncio.wait_for(EVENT_LOOP.in_thread(lambda: "answered"), 10)
        finally:
            held.set()
            await asyncio.gather(*slow)

    assert EVENT_LOOP.run(ask()) == "answered"
