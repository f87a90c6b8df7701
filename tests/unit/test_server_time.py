"""What is known of a server's clock: the quickest of its answers tells most."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError  # noqa: A004  # its own

from app.clock import RedisClock, ServerTime

if TYPE_CHECKING:
    from redis import Redis

AHEAD = 1_700_000_000.0  # seconds that the server's clock is ahead of ours


def learnt(*answers: tuple[float, float, float]) -> float:
    """What is known after answers: when each was asked for, and how long it took there and back."""
    known = ServerTime()
    for asked_at, there, back in answers:
        known.learn(asked_at, asked_at + there + back, asked_at + there + AHEAD)
    return known.ahead_seconds


def test_an_answer_that_was_held_up_moves_nothing() -> None:
    quick = learnt((10, 0.001, 0.001))
    assert quick == pytest.approx(AHEAD)
    assert learnt((10, 0.001, 0.001), (10.1, 0.001, 0.2)) == quick


def test_after_a_while_a_slower_one_is_better_than_none() -> None:
    known = ServerTime()
    known.learn(10, 10.002, 10.001 + AHEAD)
    known.learn(11, 11.02, 11.01 + AHEAD + 5)
    assert known.ahead_seconds == pytest.approx(AHEAD)
    known.learn(40, 40.02, 40.01 + AHEAD + 5)
    assert known.ahead_seconds == pytest.approx(AHEAD + 5)


@given(st.lists(st.tuples(st.floats(0, 0.05), st.floats(0, 0.5)), min_size=1, max_size=20))
def test_it_is_never_off_by_more_than_half_of_the_first_answer(trips: list[tuple[float, float]]) -> None:
    answers = [(float(number), there, back) for number, (there, back) in enumerate(trips)]
    there, back = trips[0]
    drift = 0.001 * len(trips)
    assert abs(learnt(*answers) - AHEAD) <= (there + back) / 2 + drift + 1e-6


class Server:
    """One whose clock stands still."""

    asked = 0

    def time(self) -> tuple[int, int]:
        self.asked += 1
        return (1_700_000_000, 0)


def test_what_is_known_of_a_clock_is_told_without_asking() -> None:
    server = Server()
    clock = RedisClock(cast("Redis", server))
    assert clock.known_ms() is None
    assert (clock.now_ms(), server.asked) == (pytest.approx(AHEAD * 1000, abs=1000), 1)
    assert (clock.known_ms(), server.asked) == (pytest.approx(AHEAD * 1000, abs=1000), 1)


class Slow(Server):
    """One whose first answer was held up on its way back."""

    def time(self) -> tuple[int, int]:
        self.asked += 1
        seconds = time.monotonic() + AHEAD
        if self.asked == 1:
            time.sleep(0.2)
        return (int(seconds), int(seconds % 1 * 1e6))


def test_a_first_answer_that_was_held_up_is_not_gone_by() -> None:
    server = Slow()
    told_ms = RedisClock(cast("Redis", server)).now_ms()
    assert abs(told_ms - (time.monotonic() + AHEAD) * 1000) < 50
    assert server.asked > 1


def test_a_slow_first_answer_is_better_than_none() -> None:
    class Breaks(Slow):
        def time(self) -> tuple[int, int]:
            if self.asked:
                raise ConnectionError
            return super().time()

    told_ms = RedisClock(cast("Redis", Breaks())).now_ms()
    assert abs(told_ms - (time.monotonic() + AHEAD) * 1000) < 1_000
