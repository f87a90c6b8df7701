"""Gates of several processes at one account: lanes that call for a while, on a real Redis."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis import Redis

from app.destinations.model import Limits
from app.errors import Throttle
from app.event_loop import EVENT_LOOP
from app.keys import AccountKeys
from app.pacing.asking import IDLE_SECONDS
from app.pacing.gate import Gate
from app.pacing.gates import Gates
from app.pacing.place import Called, Place
from app.pacing.schedule import late_seconds
from app.round_trips import RoundTrips, Step

KEYS = AccountKeys("acme")


def limits(*, per_second: float = 100, in_flight: int = 20) -> Limits:
    return Limits(calls_per_minute=int(per_second * 60), max_in_flight=in_flight, calls_per_year=1_000_000)


def in_loop(act: Callable[..., None], *arguments: Any, **more: Any) -> None:
    """Call a function on the event loop, and wait for its end."""

    async def run() -> None:
        act(*arguments, **more)

    EVENT_LOOP.run(run())


@dataclass
class Lane:
    """Calls that take their time and do nothing; there are always more."""

    gate: Gate
    destination_id: str = "camp"
    backfill: bool = False
    call_seconds: float = 0.02
    wanted: int = 1_000
    calls: list[tuple[float, float]] = field(default_factory=list)
    held: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = Place(self.destination_id, self.call, self.held.append)
        self.under_way = 0
        self.begun = 0
        in_loop(self.gate.want, self.place, self.wanted, backfill=self.backfill)

    async def call(self, latest: float) -> Called | None:
        self.begun += 1
        self.under_way += 1
        started = time.monotonic()
        try:
            if started > latest:
                return None
            await asyncio.sleep(self.call_seconds)
            self.calls.append((started, time.monotonic()))
            return Called(let_through=True, seconds=time.monotonic() - started)
        finally:
            self.under_way -= 1

    def close(self) -> None:
        in_loop(self.gate.leave, self.place)
        wait_for(lambda: not self.under_way)


@pytest.fixture
def lanes() -> Iterator[Callable[..., Lane]]:
    made: list[Lane] = []

    def make(gate: Gate, **more: Any) -> Lane:
        made.append(Lane(gate, **more))
        return made[-1]

    yield make
    for lane in made:
        lane.close()


def wait_for(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


_processes: list[Gates] = []


def process_of(redis: Redis) -> Gates:
    _processes.append(Gates(RoundTrips(redis), 64))
    return _processes[-1]


def gates(redis: Redis, count: int, wanted: Limits) -> list[Gate]:
    return [process_of(redis).of("acme", wanted) for _ in range(count)]


@pytest.fixture(autouse=True)
def all_end(redis: Redis) -> Iterator[None]:
    """Before its Redis goes."""
    yield
    end_gates()


def end_gates() -> None:
    while _processes:
        process = _processes.pop()
        process.close()
        assert process.wait_until_they_rest(30)


def most_at_once(calls: list[tuple[float, float]]) -> int:
    changes = sorted([(start, 1) for start, _ in calls] + [(end, -1) for _, end in calls])
    level = highest = 0
    for _, change in changes:
        level += change
        highest = max(highest, level)
    return highest


@pytest.mark.alone
def test_all_processes_together_keep_the_rate_and_the_permits(redis: Redis, lanes: Callable[..., Lane]) -> None:
    made = [lanes(gate) for gate in gates(redis, 4, limits(per_second=100, in_flight=8)) for _ in range(2)]
    wait_for(lambda: min(len(lane.calls) for lane in made) >= 5)  # by now they know of one another
    before = [len(lane.calls) for lane in made]
    # what does not divide goes round from second to second: in three of them one may have three times as many as another
    wait_for(lambda: sum(len(lane.calls) for lane in made) >= sum(before) + 900)
    calls = sorted(call for lane in made for call in lane.calls)
    seconds = calls[-1][0] - calls[0][0]
    assert len(calls) / seconds <= 103
    assert most_at_once(calls) <= 8
    by_lane = [len(lane.calls) - count for lane, count in zip(made, before, strict=True)]
    by_gate = [by_lane[n] + by_lane[n + 1] for n in range(0, 8, 2)]
    assert min(by_gate) >= 0.4 * max(by_gate)


@pytest.mark.alone
def test_permits_that_are_just_enough_let_most_of_the_rate_through(redis: Redis, lanes: Callable[..., Lane]) -> None:
    """A process takes only starts that find a permit: the others would be lost to those that have one."""
    made = [lanes(gate, call_seconds=0.2) for gate in gates(redis, 4, limits(per_second=40, in_flight=10))]
    wait_for(lambda: sum(len(lane.calls) for lane in made) >= 60)
    begun = max(call[0] for lane in made for call in list(lane.calls))
    wait_for(lambda: sum(len(lane.calls) for lane in made) >= 400)
    starts = sorted(call[0] for lane in made for call in lane.calls if call[0] > begun)[:330]
    # a trial of fewer permits falls into this time; taken whether or not they find a permit, starts make 26 to 27.5 calls a second
    assert 330 / (starts[-1] - begun) >= 0.72 * 40


def test_permits_bound_the_calls_where_the_rate_does_not(redis: Redis, lanes: Callable[..., Lane]) -> None:
    made = [lanes(gate, call_seconds=0.1) for gate in gates(redis, 3, limits(per_second=10_000, in_flight=6))]
    wait_for(lambda: min(len(lane.calls) for lane in made) >= 20)
    calls = [call for lane in made for call in lane.calls]
    assert most_at_once(calls) == 6


@pytest.mark.alone
@pytest.mark.parametrize("call_seconds", [0.03, 0.11])
def test_permits_are_hardly_ever_without_a_call(redis: Redis, lanes: Callable[..., Lane], call_seconds: float) -> None:
    """However long a call takes, and whether or not that is in step with the questions to Redis."""
    (gate,) = gates(redis, 1, limits(per_second=10_000, in_flight=8))
    lane = lanes(gate, call_seconds=call_seconds)
    wait_for(lambda: len(lane.calls) >= 24)  # by now it is known how long a call takes
    first = len(lane.calls) - 1
    wait_for(
        lambda: len(lane.calls) >= first + 289
    )  # so many that a second in which the machine does something else counts little
    calls = lane.calls[first + 1 : first + 289]
    took = calls[-1][1] - lane.calls[first][1]
    assert sum(ended - begun for begun, ended in calls) >= 0.75 * 8 * took


@pytest.mark.alone
def test_where_the_rate_binds_as_well_no_start_comes_later(redis: Redis, lanes: Callable[..., Lane]) -> None:
    """Starts that had to wait for a permit would make a bunch with those of others, which an account with a small burst refuses."""
    made = [lanes(gate, call_seconds=0.2) for gate in gates(redis, 4, limits(per_second=40, in_flight=8))]
    wait_for(lambda: sum(len(lane.calls) for lane in made) >= 150)
    full_at, refused = 0.0, 0
    for start in sorted(start for lane in made for start, _ in lane.calls):
        if full_at > start + 1 / 40 + 0.005:  # the clocks of both sides
            refused += 1
        else:
            full_at = max(full_at, start) + 1 / 40
    assert refused == 0


@pytest.mark.alone
def test_permits_that_bind_are_asked_for_along_with_starts(redis: Redis, lanes: Callable[..., Lane]) -> None:
    def questions() -> tuple[int, int]:
        """Scripts that were run, and round trips: Redis counts what it read."""
        info: Any = redis.info("everything")
        return info["cmdstat_evalsha"]["calls"], info["total_reads_processed"]

    (gate,) = gates(redis, 1, limits(per_second=10_000, in_flight=4))
    lane = lanes(gate, call_seconds=0.15)
    wait_for(lambda: len(lane.calls) >= 12)  # by now it is known how long a call takes
    scripts, trips = questions()
    wait_for(lambda: len(lane.calls) >= 60)
    scripts, trips = (after - before for after, before in zip(questions(), (scripts, trips), strict=True))
    assert scripts >= 10
    assert trips <= 0.75 * scripts


def test_live_comes_before_backfill_and_destinations_take_turns(redis: Redis, lanes: Callable[..., Lane]) -> None:
    (gate,) = gates(redis, 1, limits(per_second=200, in_flight=20))
    old = lanes(gate, backfill=True)
    wait_for(lambda: len(old.calls) >= 5)
    big, small = [lanes(gate, destination_id="big") for _ in range(5)], lanes(gate, destination_id="small")
    wait_for(lambda: small.calls)
    before = len(old.calls), len(small.calls), sum(len(lane.calls) for lane in big)
    wait_for(lambda: len(small.calls) >= 60)
    after = len(old.calls), len(small.calls), sum(len(lane.calls) for lane in big)
    of_old, of_small, of_big = (b - a for a, b in zip(before, after, strict=True))
    assert of_old <= 8  # what had its start already
    assert 0.7 * of_small <= of_big <= 1.4 * of_small


def test_the_backlogs_of_others_do_not_keep_out_a_single_call(redis: Redis, lanes: Callable[..., Lane]) -> None:
    wanted = limits(per_second=100, in_flight=40)
    made = gates(redis, 4, wanted)
    big = [lanes(gate, destination_id="big") for gate in made for _ in range(4)]
    wait_for(lambda: sum(len(lane.calls) for lane in big) >= 50)
    for number in range(8):
        before = sum(lane.begun for lane in big)
        small = lanes(made[number % 4], destination_id=f"small-{number}", wanted=1)
        wait_for(lambda small=small: small.begun)  # type: ignore[misc]
        assert sum(lane.begun for lane in big) - before <= 60  # those of 0.3 s have their start already


def test_a_single_call_is_made_at_once_and_an_idle_gate_gives_its_permits_back(
    redis: Redis, lanes: Callable[..., Lane]
) -> None:
    (gate,) = gates(redis, 1, limits())
    lane = lanes(gate, wanted=1)
    wait_for(lambda: lane.calls)
    wait_for(lambda: not redis.exists(KEYS.permits))
    assert len(lane.calls) == 1


def test_a_gate_that_closes_gives_its_permits_back_at_once(redis: Redis, lanes: Callable[..., Lane]) -> None:
    process = process_of(redis)
    gate = process.of("acme", limits())
    lane = lanes(gate, call_seconds=0.5)
    wait_for(lambda: lane.begun)
    in_loop(gate.leave, lane.place)
    process.close()
    assert redis.exists(KEYS.permits), "a call is in flight"
    wait_for(lambda: lane.calls)
    ended = time.monotonic()
    wait_for(lambda: gate._running is None)
    assert time.monotonic() - ended < IDLE_SECONDS, "one that does not close waits for so long"
    assert not redis.exists(KEYS.permits)


def test_a_gate_that_closes_does_not_wait_for_redis(redis_url: str, lanes: Callable[..., Lane]) -> None:
    with Redis.from_url(redis_url) as client:
        client.flushall()  # another test may have left the account waiting
    process = process_of(Redis.from_url(redis_url))
    gate = process.of("acme", limits())
    lane = lanes(gate, wanted=1)
    wait_for(lambda: lane.calls)
    connection: Any = process._trips._connection
    connection.port = 1  # nobody listens there
    connection.disconnect()
    in_loop(gate.leave, lane.place)
    process.close()
    wait_for(lambda: gate._running is None)


@pytest.fixture
def slow_redis(redis_port: int) -> Iterator[Redis]:
    """A connection on which each answer takes 30 ms, more than a start may be late here."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = Redis(port=listener.getsockname()[1])
    sockets, threads = [listener], []

    def carry(source: socket.socket, target: socket.socket, delay_seconds: float) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                time.sleep(delay_seconds)
                target.sendall(data)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", redis_port))
                sockets.extend((near, far))
                for words in ((near, far, 0.0), (far, near, 0.03)):
                    threads.append(threading.Thread(target=carry, args=words, daemon=True))
                    threads[-1].start()

    threads.append(threading.Thread(target=serve, daemon=True))
    threads[0].start()
    yield client
    end_gates()
    client.close()
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
    for thread in threads:
        thread.join(5)


@pytest.mark.alone
def test_a_redis_that_answers_late_keeps_no_call_out(
    redis: Redis, slow_redis: Redis, lanes: Callable[..., Lane]
) -> None:
    (gate,) = gates(slow_redis, 1, limits(per_second=100))
    assert late_seconds(1 / 100) < 0.03
    for number in range(3):
        lane = lanes(gate, destination_id=f"small-{number}", wanted=1)
        wait_for(lambda lane=lane: lane.begun)  # type: ignore[misc]
        begun = lane.begun
        wait_for(lambda lane=lane: lane.calls)  # type: ignore[misc]
        assert begun == 1


def test_those_who_wait_are_told_that_the_account_is_left_alone(redis: Redis, lanes: Callable[..., Lane]) -> None:
    one, other = gates(redis, 2, limits())
    first, second = lanes(one), lanes(other)
    wait_for(lambda: first.calls and second.calls)
    assert EVENT_LOOP.run(one.refused(Throttle.RATE, 40)) >= 40
    wait_for(lambda: first.held and second.held)
    assert second.held[0] > 30
    counts = len(first.calls), len(second.calls)
    wait_for(lambda: len(first.held) + len(second.held) >= 3)  # asked again: an operator may have ended it
    assert len(first.calls) + len(second.calls) <= sum(counts) + 8


def test_calls_that_were_not_made_are_not_counted(redis: Redis) -> None:
    (gate,) = gates(redis, 1, limits())
    turns: list[float] = []

    async def call(latest: float) -> Called | None:
        turns.append(latest)
        return None if len(turns) == 2 else Called(let_through=True, seconds=0.1)

    place = Place("camp", call, lambda seconds: None)
    in_loop(gate.want, place, 3, backfill=False)
    wait_for(lambda: len(turns) == 3)
    in_loop(gate.leave, place)
    wait_for(lambda: counted(redis) == 2)


def counted(redis: Redis) -> int:
    """The account's calls of this year."""
    calls: Any = redis.hgetall(KEYS.calls)
    uncounted: Any = redis.hget(KEYS.pace, "calls")
    return sum(int(value) for name, value in calls.items() if name.startswith(b"y")) + int(uncounted or 0)


def failed_scripts(redis: Redis) -> int:
    info: Any = redis.info("commandstats")
    return int(info["cmdstat_evalsha"]["failed_calls"])


def test_starts_are_not_lost_with_the_permits(redis: Redis, lanes: Callable[..., Lane]) -> None:
    """One round trip may bring starts and an error for permits."""
    (gate,) = gates(redis, 1, limits(per_second=10_000, in_flight=4))
    lane = lanes(gate, call_seconds=0.15)
    wait_for(lambda: len(lane.calls) >= 12)
    redis.delete(KEYS.permits)
    redis.set(KEYS.permits, "no hash")
    refused = failed_scripts(redis)
    wait_for(lambda: failed_scripts(redis) >= refused + 3)
    redis.delete(KEYS.permits)
    before = len(lane.calls)
    wait_for(lambda: len(lane.calls) >= before + 20)
    lane.close()
    wait_for(lambda: counted(redis) == len(lane.calls))


def test_nothing_starts_after_a_refusal_that_came_with_starts(redis: Redis, lanes: Callable[..., Lane]) -> None:
    process = process_of(redis)
    gate, trips = process.of("acme", limits(per_second=10_000, in_flight=4)), process._trips
    lane = lanes(gate, call_seconds=0.05)
    wait_for(lambda: len(lane.calls) >= 20)

    async def refuse_behind_a_question() -> tuple[float, float]:
        """When the gate knew of a refusal that travelled behind its question for starts, and for how long it holds."""
        keeps_others_waiting: Step[None] = Step("", "BLPOP", ["nobody writes here"], [0.5], lambda _: None)
        blocked = asyncio.ensure_future(trips.run(keeps_others_waiting))
        while not any(step.name == "starts" for step, _ in trips._waiting):
            await asyncio.sleep(0.005)
        seconds = await gate.refused(Throttle.UNAVAILABLE, 0.3)
        await blocked
        await asyncio.sleep(0)  # calls that had their turn before begin now
        return time.monotonic(), seconds

    told, seconds = EVENT_LOOP.run(refuse_behind_a_question())
    wait_for(lambda: time.monotonic() > told + 0.8 * seconds)
    assert not [start for start, _ in lane.calls if told < start < told + 0.8 * seconds]


def test_a_gate_that_failed_in_a_way_nobody_foresaw_goes_on_while_lanes_wait(
    redis: Redis, lanes: Callable[..., Lane], caplog: pytest.LogCaptureFixture
) -> None:
    (gate,) = gates(redis, 1, limits())
    lane = lanes(gate)
    wait_for(lambda: lane.calls)
    redis.hset(KEYS.observed, "what another build counts", "no number")
    wait_for(lambda: "unexpected error" in caplog.text)
    before = len(lane.calls)  # what has its start already are a tenth of these at most
    wait_for(lambda: len(lane.calls) >= before + 200)


def test_a_gate_that_failed_while_a_call_was_in_flight_gives_its_permits_back(
    redis: Redis, lanes: Callable[..., Lane], caplog: pytest.LogCaptureFixture
) -> None:
    (gate,) = gates(redis, 1, limits())
    redis.hset(KEYS.observed, "what another build counts", "no number")
    lane = lanes(gate, wanted=1, call_seconds=0.5)
    wait_for(lambda: lane.calls and gate._running is None)
    assert "unexpected error" in caplog.text
    assert not redis.exists(KEYS.permits)


def test_other_limits_are_another_gate(redis: Redis) -> None:
    process = process_of(redis)
    assert process.of("acme", limits()) is process.of("acme", limits())
    assert process.of("acme", limits()) is not process.of("acme", limits(per_second=50))


def test_a_gate_of_former_limits_gives_its_permits_back_as_well(redis: Redis, lanes: Callable[..., Lane]) -> None:
    process = process_of(redis)
    lane = lanes(process.of("acme", limits()), wanted=1)
    wait_for(lambda: lane.calls)
    process.of("acme", limits(per_second=50))
    process.close()
    assert process.wait_until_they_rest(30)
    assert not redis.exists(KEYS.permits)
