"""The scripts on a real Redis: one even schedule, one set of permits, one back-off and one memory for all holders of an account."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from heapq import heapify, heapreplace
from itertools import count, pairwise
from typing import Any

import pytest
from redis import Redis

from app.destinations.model import Limits
from app.errors import Throttle
from app.keys import AccountKeys
from app.pacing import account as pacing
from app.pacing.account import AccountPace, end_wait
from app.pacing.rate import RATE_USED
from app.pacing.shown import read_pace
from app.pacing.starts import Starts
from app.reporting.quota import read_quota

_holders = count(1)
LIMITS = Limits(calls_per_minute=2_400, max_in_flight=10, calls_per_year=1_000_000, stop_at_yearly_quota=False)
NOW = 1_800_000_000_000_000  # us
SECOND = 1_000_000
KEYS = AccountKeys("acme")


class Holder:
    """One that waits for each answer."""

    def __init__(self, redis: Redis, account: str, name: str, limits: Limits) -> None:
        self._redis = redis
        self.pace = AccountPace(redis, account, name, limits)

    def ask(self, wanted: int, **more: Any) -> Starts:
        return self.pace.ask(wanted, **more).run(self._redis)

    def lease(self, wanted: int, **more: Any) -> tuple[int, int]:
        return self.pace.lease(wanted, **more).run(self._redis)

    def back_off(self, kind: Throttle, wait_seconds: float | None, **more: Any) -> float:
        return self.pace.back_off(kind, wait_seconds, **more).run(self._redis)

    def leave(self) -> None:
        for step in self.pace.leave():
            step.run(self._redis)


def holder(redis: Redis, account: str = "acme", **changes: Any) -> Holder:
    return Holder(redis, account, f"holder-{next(_holders):02}", replace(LIMITS, **changes))


# -- starts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holders", [1, 4, 16])
@pytest.mark.parametrize("per_minute", [60, 2_400, 60_000])
def test_holders_side_by_side_use_the_rate_up_and_never_exceed_it(redis: Redis, holders: int, per_minute: int) -> None:
    made = [holder(redis, calls_per_minute=per_minute) for _ in range(holders)]
    rate, starts, by_holder = per_minute / 60, [], [0] * holders
    last = 5 if per_minute == 60_000 else 30
    for tick in range(last * 10):
        for number, asking in enumerate(made):
            now = NOW + tick * SECOND // 10 + number * 1_000
            given = asking.ask(int(rate / 10) + 2, backfill=False, now_us=now)
            first = (now - NOW) / SECOND + given.first_seconds
            starts += [first + place * given.interval_seconds for place in range(given.count)]
            by_holder[number] += given.count
    starts.sort()
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert min(gaps) >= 0.99 / rate
    used = (len(starts) - 1) / (starts[-1] - starts[0]) / rate
    assert 0.97 <= used <= 1.001
    if per_minute > 60:
        assert min(by_holder) >= 0.5 * sum(by_holder) / holders


def used_by(wants: Sequence[tuple[Holder, int, float]], *, seconds: float = 20.0) -> float:
    """Each of the holders asks for so many starts, and again when it was told to, but not within so many seconds: calls a second."""
    jitter = random.Random(7)  # not a secret
    starts: list[float] = []
    due = [(jitter.random() / 10, number) for number in range(len(wants))]
    heapify(due)
    while due[0][0] < seconds:
        at, number = due[0]
        asking, wanted, at_least = wants[number]
        given = asking.ask(wanted, backfill=False, now_us=NOW + int(at * SECOND))
        starts += [at + given.first_seconds + place * given.interval_seconds for place in range(given.count)]
        heapreplace(due, (at + max(at_least, given.wait_seconds) + 0.005 * jitter.random(), number))
    return (len(starts) - 1) / (max(starts) - min(starts))


def test_a_holder_has_what_others_leave(redis: Redis) -> None:
    wants = [(holder(redis), 6, 0.1), *((holder(redis), 1, seconds) for seconds in (1.0, 0.7, 1.3))]
    assert used_by(wants) >= 0.99 * 40


def test_what_is_urgent_has_one_start_beyond_what_others_reach(redis: Redis) -> None:
    greedy = [holder(redis) for _ in range(3)]
    small = holder(redis)
    for asking in greedy * 3:
        asking.ask(100, backfill=False, now_us=NOW)
    small.ask(100, backfill=False, now_us=NOW)
    assert small.ask(1, backfill=False, now_us=NOW).count == 0
    given = small.ask(3, backfill=False, urgent=True, now_us=NOW)
    assert given.count == 1
    assert given.first_seconds <= 0.3
    assert [small.ask(1, backfill=False, urgent=True, now_us=NOW).count for _ in range(3)].count(1) <= 1


def test_after_a_pause_there_is_no_burst(redis: Redis) -> None:
    asking = holder(redis)
    asking.ask(4, backfill=False, now_us=NOW)
    later = asking.ask(100, backfill=False, now_us=NOW + 60 * SECOND)
    assert later.count <= 7
    assert later.interval_seconds == pytest.approx(0.025 / RATE_USED, rel=0.001)


def test_what_is_not_granted_now_is_granted_after_the_wait_that_was_told(redis: Redis) -> None:
    asking = holder(redis, calls_per_minute=60)
    now = NOW
    while (given := asking.ask(1, backfill=False, now_us=now)).count:
        now += 1_000
    assert given.why == "rate"
    assert asking.ask(1, backfill=False, now_us=now + int(given.wait_seconds * SECOND) + 1_000).count == 1


def test_a_backfill_reaches_less_far_than_a_live_holder_that_had_nothing_yet(redis: Redis) -> None:
    old, new = holder(redis), holder(redis)
    new.ask(1, backfill=False, now_us=NOW - SECOND)
    while old.ask(10, backfill=True, now_us=NOW).count:
        pass
    assert new.ask(1, backfill=False, now_us=NOW).count == 1


def test_accounts_do_not_share_a_rate(redis: Redis) -> None:
    asking = holder(redis)
    while asking.ask(10, backfill=False, now_us=NOW).count:
        pass
    assert holder(redis, "other").ask(1, backfill=False, now_us=NOW).count == 1


# -- permits -----------------------------------------------------------------------------------------------------------


def lease_all(holders: list[Holder], wants: list[int], now: int) -> list[int]:
    return [asking.lease(want, in_use=0, now_us=now)[0] for asking, want in zip(holders, wants, strict=True)]


@pytest.mark.parametrize(
    ("wants", "shares"),
    [([3, 4], [3, 4]), ([10, 10], [5, 5]), ([2, 20, 20], [2, 4, 4]), ([1, 1, 1, 30], [1, 1, 1, 7]), ([30], [10])],
)
def test_permits_are_shared_out(redis: Redis, wants: list[int], shares: list[int]) -> None:
    holders = [holder(redis) for _ in wants]
    for tick in range(4):
        held = lease_all(holders, wants, NOW + tick)
        assert sum(held) <= 10
    assert held == shares


def test_who_uses_more_than_its_share_begins_nothing_and_nobody_else_before_its_calls_end(redis: Redis) -> None:
    first, second = holder(redis), holder(redis)
    assert first.lease(20, in_use=0, now_us=NOW)[0] == 10
    assert second.lease(20, in_use=0, now_us=NOW + 1)[0] == 0
    assert first.lease(20, in_use=10, now_us=NOW + 2)[0] == 5
    assert second.lease(20, in_use=0, now_us=NOW + 2)[0] == 0
    assert first.lease(20, in_use=4, now_us=NOW + 3)[0] == 5
    assert second.lease(20, in_use=0, now_us=NOW + 4)[0] == 5


def test_with_fewer_permits_than_holders_each_has_its_turn(redis: Redis) -> None:
    holders = [holder(redis, max_in_flight=2) for _ in range(5)]
    turns = [0] * 5
    for second in range(20):
        for step in range(2):
            held = lease_all(holders, [3] * 5, NOW + second * SECOND + step)
        turns = [before + now for before, now in zip(turns, held, strict=True)]
    assert sum(turns) == 40
    assert min(turns) >= 6


def test_the_permits_of_a_holder_that_died_come_back(redis: Redis) -> None:
    dead, living = holder(redis), holder(redis)
    dead.lease(10, in_use=10, now_us=NOW)
    assert living.lease(10, in_use=0, now_us=NOW + SECOND)[0] == 0
    assert living.lease(10, in_use=0, now_us=NOW + int(pacing.PERMIT_LIFE_SECONDS + 1) * SECOND)[0] == 10


# -- back-off ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(Throttle))
def test_the_whole_account_waits_as_long_as_the_server_asked(redis: Redis, kind: Throttle) -> None:
    one, other = holder(redis), holder(redis)
    assert 300 <= one.back_off(kind, 300, now_us=NOW) <= 330
    for asking in (one, other):
        given = asking.ask(1, backfill=False, now_us=NOW + SECOND)
        assert (given.count, given.why) == (0, "throttled")
        assert 298 <= given.wait_seconds <= 330
    assert holder(redis, "elsewhere").ask(1, backfill=False, now_us=NOW).count == 1


@pytest.mark.parametrize(("kind", "first", "most"), [(kind, *pacing.WAITS[kind]) for kind in Throttle])
def test_in_a_row_it_waits_twice_as_long_each_time_up_to_a_limit(
    redis: Redis, kind: Throttle, first: float, most: float
) -> None:
    asking, now, expected = holder(redis), NOW, first
    for _ in range(12):
        wait = asking.back_off(kind, None, now_us=now)
        assert expected <= wait <= 1.1 * expected
        echo = asking.back_off(kind, None, now_us=now + 1_000)
        assert 0.99 * wait <= echo <= 1.1 * expected
        now += int(echo * SECOND) + 10_000
        expected = min(most, 2 * expected)


@pytest.mark.parametrize("kind", [Throttle.RATE, Throttle.UNAVAILABLE])
def test_the_first_time_it_waits_no_longer_than_the_server_asked(redis: Redis, kind: Throttle) -> None:
    asking = holder(redis)
    assert 0.3 <= asking.back_off(kind, 0.3, now_us=NOW) <= 0.33
    assert asking.back_off(kind, 0.3, now_us=NOW + SECOND) >= 2 * pacing.WAITS[kind][0]


def test_of_its_rate_an_account_that_is_unavailable_says_nothing(redis: Redis) -> None:
    asking = holder(redis)
    asking.back_off(Throttle.UNAVAILABLE, 0.1)
    assert not redis.hexists(KEYS.observed, "throttled")
    asking.back_off(Throttle.RATE, 0.1)
    assert redis.hget(KEYS.observed, "throttled") == b"1"


def test_refusals_of_one_moment_for_too_much_at_once_count_as_one(redis: Redis) -> None:
    asking = holder(redis)
    for later in range(4):
        asking.back_off(Throttle.BLOCKED, 30, now_us=NOW + later * SECOND)
    assert redis.hget(KEYS.observed, "crowded") == b"1"
    asking.back_off(Throttle.BLOCKED, 30, now_us=NOW + 1_000 * SECOND)
    assert redis.hget(KEYS.observed, "crowded") == b"1", "of a single call, which was not too many"
    asking.ask(1, backfill=False, observed={"accepted": 1}, now_us=NOW + 9_000 * SECOND)
    asking.back_off(Throttle.BLOCKED, 30, now_us=NOW + 10_000 * SECOND)
    assert redis.hget(KEYS.observed, "crowded") == b"2"


def test_an_accepted_call_ends_the_row(redis: Redis) -> None:
    asking = holder(redis)
    asking.back_off(Throttle.RATE, None, now_us=NOW)
    asking.back_off(Throttle.RATE, None, now_us=NOW + 2 * SECOND)
    asking.ask(1, backfill=False, observed={"accepted": 1}, now_us=NOW + 9 * SECOND)
    assert asking.back_off(Throttle.RATE, None, now_us=NOW + 10 * SECOND) <= 1.1


def test_after_a_refusal_calls_start_singly_until_one_is_accepted(redis: Redis) -> None:
    one, other = holder(redis), holder(redis)
    one.back_off(Throttle.RATE, 1, now_us=NOW)
    now = NOW + 2 * SECOND
    assert one.ask(5, backfill=False, now_us=now).count == 1
    assert other.ask(5, backfill=False, now_us=now + 1_000).count == 0
    assert one.ask(5, backfill=False, now_us=now + 100_000).count == 0
    assert other.ask(5, backfill=False, now_us=now + 2 * SECOND).count == 1  # nobody tells what became of the first
    one.ask(0, backfill=False, observed={"accepted": 1}, now_us=now + 2 * SECOND + 300_000)
    assert other.ask(5, backfill=False, now_us=now + 2 * SECOND + 400_000).count > 1


def test_an_operator_can_end_the_wait(redis: Redis) -> None:
    asking = holder(redis)
    asking.back_off(Throttle.BLOCKED, 3_000)
    assert read_pace(redis, "acme", LIMITS).wait_seconds > 2_900
    end_wait(redis, "acme")
    assert read_pace(redis, "acme", LIMITS).wait_seconds == 0
    assert asking.ask(1, backfill=False).count == 1


# -- the year ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [(2026, 1, 1), (2026, 12, 31), (2027, 1, 1), (2028, 2, 29), (2028, 12, 31), (2100, 2, 28), (2100, 3, 1)],
)
def test_calls_count_in_their_year(redis: Redis, moment: tuple[int, int, int]) -> None:
    now = int(datetime(*moment, 23, 59, 59, tzinfo=UTC).timestamp()) * SECOND
    holder(redis).ask(3, backfill=False, now_us=now)
    counted = redis.hgetall(KEYS.calls)
    assert counted == {f"y{moment[0]}".encode(): b"3", str(now // 86_400 // SECOND).encode(): b"3"}


def test_the_quota_ends_with_the_year(redis: Redis) -> None:
    asking = holder(redis, calls_per_year=5, stop_at_yearly_quota=True, calls_per_minute=600_000)
    now = int(datetime(2026, 12, 31, 23, 59, 50, tzinfo=UTC).timestamp()) * SECOND
    assert asking.ask(3, backfill=False, now_us=now).count == 3
    assert (
        asking.ask(9, backfill=False, unused=1, now_us=now + SECOND).count == 2
    )  # what comes back counts from the next on
    assert asking.ask(9, backfill=False, now_us=now + 2 * SECOND).count == 1
    refused = asking.ask(9, backfill=False, now_us=now + 3 * SECOND)
    assert (refused.count, refused.why) == (0, "quota")
    assert asking.ask(9, backfill=False, now_us=now + 10 * SECOND).count == 5


def test_calls_of_the_last_second_are_shown_too(redis: Redis) -> None:
    asking = holder(redis)
    for _ in range(3):
        asking.ask(1, backfill=False)
    assert read_quota(redis, "acme", calls_per_year=100).used == 3


# -- learning ----------------------------------------------------------------------------------------------------------


def test_what_was_learned_holds_for_all_and_is_shown(redis: Redis) -> None:
    one, other = holder(redis), holder(redis)
    redis.hset(KEYS.observed, "since", int(redis.time()[0]) * SECOND - 2 * SECOND)
    one.ask(0, backfill=False, observed={"accepted": 30, "call_us": 30 * 200_000, "rate_bound": 5})
    one.back_off(Throttle.RATE, None)
    end_wait(redis, "acme")
    one.pace.learn()
    shown = read_pace(redis, "acme", LIMITS)
    assert shown.allowed_per_minute == 2_400
    assert 1_000 < shown.learned_per_minute < 2_000
    assert shown.why == "learned"
    redis.hdel(KEYS.pace, "careful")
    assert other.ask(1, backfill=False).interval_seconds == pytest.approx(60 / shown.learned_per_minute, rel=0.01)


def test_a_wait_from_before_the_clock_went_back_is_none(redis: Redis) -> None:
    one, ahead = holder(redis), (int(redis.time()[0]) + 3_600) * SECOND
    one.back_off(Throttle.RATE, 5.0, now_us=ahead)
    assert one.ask(1, backfill=False).count == 1
    assert read_pace(redis, "acme", LIMITS).wait_seconds == 0
    assert 5 <= one.back_off(Throttle.RATE, 5.0) < 12, "a new one counts"
    assert one.ask(1, backfill=False).why == "throttled"
    assert read_pace(redis, "acme", LIMITS).wait_seconds > 4


def test_an_account_that_is_called_no_more_uses_nothing(redis: Redis) -> None:
    asking = holder(redis)
    redis.hset(KEYS.observed, "since", int(redis.time()[0]) * SECOND - 2 * SECOND)
    asking.ask(0, backfill=False, observed={"accepted": 30, "call_us": 30 * 200_000})
    asking.pace.learn()
    assert read_pace(redis, "acme", LIMITS).used_per_minute > 0
    redis.hset(KEYS.pace, "learn_at", (int(redis.time()[0]) - 20) * SECOND)
    assert read_pace(redis, "acme", LIMITS).used_per_minute == 0


def test_nothing_learned_is_what_is_configured(redis: Redis) -> None:
    shown = read_pace(redis, "acme", LIMITS)
    assert (shown.why, shown.permits, shown.wait_seconds) == ("configured", 10, 0)
    redis.hset(KEYS.pace, "state", b"written by another build")
    assert read_pace(redis, "acme", LIMITS).why == "configured"


def test_one_holder_at_a_time_learns(redis: Redis) -> None:
    holders = [holder(redis) for _ in range(4)]
    turns = [
        asking.ask(1, backfill=False, now_us=NOW + tick * SECOND // 10).learns
        for tick in range(40)
        for asking in holders
    ]
    assert sum(turns) == 4
