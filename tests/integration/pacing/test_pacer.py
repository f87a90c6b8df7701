"""The pacer on a real Redis: one even schedule, one set of seats and one circuit for all holders of an account."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from redis import Redis

from app.errors import Throttle
from app.pacing import pacer as pacing
from app.pacing.pacer import Admission, Pacer

_holders = count(1)


def pacer_at(redis: Redis, **changes: Any) -> Pacer:
    account = changes.pop("account", "acme")
    settings: dict[str, Any] = {
        "holder": f"holder-{next(_holders)}", "flow": "camp", "calls_per_minute": 6_000_000, "max_in_flight": 16,
        "calls_per_year": 1_000_000, "stop_at_yearly_quota": False,
    }  # fmt: skip
    return Pacer(redis, account, **(settings | changes))


def ask(pacer: Pacer, starts: int = 16, **changes: Any) -> Admission:
    """A question of a holder whose calls take so long that each needs a seat of its own."""
    facts: dict[str, Any] = {
        "in_flight": 0, "outstanding": 0, "most_seats": 64, "accepted": 0, "backfill": False, "call_seconds": 1.0,
    }  # fmt: skip
    return pacer.ask(starts=starts, **(facts | changes))


def ask_until(pacer: Pacer, granted: Callable[[Admission], bool], **facts: Any) -> Admission:
    """Ask as often as the pacer says, until the answer is what is waited for."""
    deadline = time.monotonic() + 10
    while not granted(admission := ask(pacer, **facts)):
        assert time.monotonic() < deadline, admission
        time.sleep(min(admission.wait_seconds, 0.02))
    return admission


@dataclass
class Worker:
    """Asks and calls as a session does, but its calls take their time and do nothing.

    `every`: how often another contact comes in; None: there are always more. `granted` are all starts it was given,
    `calls` the time from start to end of each, as far as it kept the seat for it.
    """

    pacer: Pacer
    call_seconds: float
    every: float | None = None
    backfill: bool = False
    granted: list[float] = field(default_factory=list)
    calls: list[tuple[float, float]] = field(default_factory=list)
    came_in: int = 0
    slowest_answer: float = 0.0

    def work(self, seconds: float) -> None:
        began = time.monotonic()
        starts: deque[float] = deque()
        busy: deque[float] = deque()
        seats, accepted, ask_at = 0, 0, 0.0
        while (now := time.monotonic()) < began + seconds:
            while busy and busy[0] + self.call_seconds <= now:
                self.calls.append((busy.popleft(), now))
                accepted += 1
                ask_at = 0.0
            while starts and starts[0] <= now and len(busy) < seats:
                starts.popleft()
                busy.append(now)
            self.came_in = 1_000_000 if self.every is None else int((now - began) / self.every)
            wanted = min(64, self.came_in - len(self.granted))
            if wanted > 0 and now >= ask_at and not starts:
                admission = self.pacer.ask(
                    in_flight=len(busy), outstanding=len(busy), most_seats=64, starts=wanted, accepted=accepted,
                    backfill=self.backfill, call_seconds=self.call_seconds,
                )  # fmt: skip
                self.slowest_answer = max(self.slowest_answer, time.monotonic() - now)
                accepted, seats, ask_at = 0, admission.seats, now + admission.wait_seconds
                given = [admission.first_at + i * admission.interval_seconds for i in range(admission.starts)]
                starts += given
                self.granted += given
            events = [busy[0] + self.call_seconds] if busy else []
            if not starts:
                events.append(ask_at if wanted > 0 else now + (self.every or 0.0))
            elif len(busy) < seats:
                events.append(starts[0])
            time.sleep(max(0.0005, min([now + 0.01, *events]) - now))
        now = time.monotonic()
        self.calls += [(start, now) for start in busy]
        self.pacer.leave()


def run(workers: list[Worker], seconds: float) -> float:
    """Let them work side by side; returns when that began."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(workers)) as pool:
        for done in [pool.submit(worker.work, seconds) for worker in workers]:
            done.result()
    return began


def most_at_once(calls: list[tuple[float, float]]) -> int:
    changes = sorted([(start, 1) for start, _ in calls] + [(end, -1) for _, end in calls])
    level = highest = 0
    for _, change in changes:
        level += change
        highest = max(highest, level)
    return highest


# -- the rate ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("per_minute", "call_seconds"), [(6_000, 0.02), (2_400, 0.2)])
def test_holders_side_by_side_use_the_rate_up_and_never_exceed_it(
    redis: Redis, per_minute: int, call_seconds: float
) -> None:
    per_second, seconds, used = per_minute / 60, 3.5, 0.0
    for _ in range(3):  # a machine that stands still for longer than the burst costs a try; too many starts always fail
        workers = [
            Worker(pacer_at(redis, flow=f"camp-{n % 3}", calls_per_minute=per_minute, max_in_flight=64), call_seconds)
            for n in range(8)
        ]
        began = run(workers, seconds)
        starts = sorted(start for worker in workers for start in worker.granted)
        late = max(worker.slowest_answer for worker in workers)  # a start is told with at most this error
        for width in (0.5, 1.0, 2.0):
            most = per_second * (width + pacing.BURST_SECONDS + late) + 1
            for i, start in enumerate(starts):
                assert sum(1 for other in starts[i:] if other < start + width) <= most
        steady = [start for start in starts if began + 0.5 <= start < began + seconds]
        used = max(used, len(steady) / per_second / (seconds - 0.5))
        if used >= 0.97:
            break
    assert 0.97 <= used <= 1.03


def test_starts_of_one_answer_and_of_the_next_are_evenly_spaced(redis: Redis) -> None:
    first, second = (pacer_at(redis, flow=flow, calls_per_minute=600) for flow in ("one", "two"))
    assert ask(pacer_at(redis, calls_per_minute=600), starts=2).starts == 2  # uses the burst up
    one, two = ask(first, starts=2), ask(second, starts=1)
    assert (one.starts, two.starts) == (2, 1)
    assert one.interval_seconds == pytest.approx(0.1 / pacing.RATE_USED)
    assert two.first_at - one.first_at >= 1.5 * one.interval_seconds


def test_what_is_not_granted_now_is_granted_after_the_wait_that_was_told(redis: Redis) -> None:
    pacer = pacer_at(redis, calls_per_minute=600)
    first = ask(pacer, starts=64)
    assert first.reason == "rate"
    assert 1 <= first.starts < 64
    assert 0 < first.wait_seconds < 2
    again = ask(pacer, starts=64)
    assert (again.starts, again.reason) == (0, "rate")
    time.sleep(again.wait_seconds)
    assert ask(pacer, starts=64).starts >= 1


def test_accounts_do_not_share_a_rate(redis: Redis) -> None:
    while ask(pacer_at(redis, calls_per_minute=60), starts=64).starts:
        pass
    assert ask(pacer_at(redis, calls_per_minute=60, account="other")).starts >= 1


# -- trouble -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Throttle.RATE, Throttle.UNAVAILABLE])
def test_the_whole_account_waits_as_long_as_the_server_asked(redis: Redis, kind: Throttle) -> None:
    one, other = pacer_at(redis), pacer_at(redis, flow="other")
    assert ask(one).starts > 0
    assert 5 <= one.back_off(kind, 5) <= 5.5
    for pacer in (one, other):
        admission = ask(pacer)
        assert (admission.starts, admission.reason) == (0, "throttled")
        assert 3 < admission.wait_seconds <= 5.5
    assert ask(pacer_at(redis, account="elsewhere")).starts > 0


@pytest.mark.parametrize("kind", [Throttle.RATE, Throttle.UNAVAILABLE])
def test_without_a_time_asked_for_the_wait_is_short_and_does_not_grow(redis: Redis, kind: Throttle) -> None:
    pacer = pacer_at(redis)
    for _ in range(4):
        assert 0.1 < pacer.back_off(kind, None) < 3


def test_a_second_signal_may_lengthen_the_wait_and_never_shortens_it(redis: Redis) -> None:
    pacer = pacer_at(redis)
    assert 20 <= pacer.back_off(Throttle.RATE, 20) <= 22
    assert pacer.back_off(Throttle.RATE, 1) > 15
    assert ask(pacer).wait_seconds > 15
    assert pacer.back_off(Throttle.UNAVAILABLE, 40) >= 40
    assert ask(pacer).wait_seconds > 30


def test_after_the_wait_calls_go_on(redis: Redis) -> None:
    pacer = pacer_at(redis)
    pacer.back_off(Throttle.RATE, 0.1)
    assert ask(pacer).reason == "throttled"
    assert ask_until(pacer, lambda admission: admission.reason != "throttled").starts > 1


def test_the_circuit_opens_for_a_minute_and_an_echo_does_not_double_it(redis: Redis) -> None:
    pacers = [pacer_at(redis) for _ in range(4)]
    assert ask(pacers[0]).starts > 0
    assert 60 <= pacers[0].back_off(Throttle.BLOCKED, None) <= 66
    for pacer in pacers:  # calls that were in flight at the same moment
        assert 55 < pacer.back_off(Throttle.BLOCKED, None) <= 66
    assert ask(pacers[1]).wait_seconds <= 66


def test_the_circuit_opens_for_as_long_as_the_server_asked_if_that_is_longer(redis: Redis) -> None:
    assert 300 <= pacer_at(redis).back_off(Throttle.BLOCKED, 300) <= 330


@pytest.fixture
def quick_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "CIRCUIT_SECONDS", 0.1)
    monkeypatch.setattr(pacing, "CIRCUIT_MOST_SECONDS", 0.5)


def open_again(pacer: Pacer) -> Admission:
    return ask_until(pacer, lambda admission: admission.reason != "throttled")


@pytest.mark.usefixtures("quick_circuit")
def test_the_circuit_grows_until_a_call_is_accepted(redis: Redis) -> None:
    pacer = pacer_at(redis)
    for least in (0.1, 0.2, 0.4, 0.5, 0.5):
        assert least <= pacer.back_off(Throttle.BLOCKED, None) <= least * 1.1 + 1e-3
        open_again(pacer)
    ask(pacer, accepted=1)
    assert 0.1 <= pacer.back_off(Throttle.BLOCKED, None) <= 0.11


@pytest.mark.usefixtures("quick_circuit")
def test_after_the_circuit_one_call_goes_ahead_then_half_the_seats_then_all(redis: Redis) -> None:
    pacer = pacer_at(redis)
    assert ask(pacer).seats == 16
    pacer.back_off(Throttle.BLOCKED, None)
    probe = open_again(pacer)
    assert (probe.seats, probe.starts) == (1, 1)
    other = ask(pacer_at(redis))
    assert (other.starts, other.reason) == (0, "seats")

    seats = [ask(pacer, accepted=1).seats]
    assert 7 <= seats[0] <= 9
    while seats[-1] < 16:
        seats.append(ask(pacer, accepted=seats[-1]).seats)
        assert len(seats) < 50
    assert seats == sorted(seats)
    assert len(seats) >= 5, "the seats came back all at once"
    assert ask(pacer, starts=64, accepted=200).seats <= 16


# -- seats -------------------------------------------------------------------------------------------------------------


def test_holders_side_by_side_never_have_more_calls_in_flight_than_allowed(redis: Redis) -> None:
    workers = [Worker(pacer_at(redis, flow=f"camp-{n % 2}", max_in_flight=5), 0.03) for n in range(6)]
    run(workers, 1.5)
    assert most_at_once([call for worker in workers for call in worker.calls]) == 5
    of_flow = [sum(len(worker.calls) for worker in workers[n::2]) for n in range(2)]
    assert min(of_flow) > 0.3 * sum(of_flow) > 10


def test_seats_of_a_holder_that_leaves_are_free_at_once(redis: Redis) -> None:
    first, second = pacer_at(redis), pacer_at(redis)
    assert ask(first).seats == 16
    assert (ask(second).starts, ask(second).reason) == (0, "seats")
    first.leave()
    assert ask(second).seats == 16


def test_seats_of_a_dead_holder_end_and_those_of_a_living_one_stay(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "SEAT_LIFE_SECONDS", 0.5)
    first, second = pacer_at(redis), pacer_at(redis)
    assert ask(first).seats == 16
    keeps_until = time.monotonic() + 1.2
    kept = time.monotonic()
    while time.monotonic() < keeps_until:
        ask(first, starts=0, in_flight=16, outstanding=16)
        admission = ask(second)
        if time.monotonic() - kept < 0.5:  # it did ask in time
            assert (admission.starts, admission.reason) == (0, "seats")
        kept = time.monotonic()
        time.sleep(0.02)
    ask_until(second, lambda admission: admission.starts > 0)


def test_asking_for_no_start_keeps_what_is_in_use_and_gives_the_rest_to_others(redis: Redis) -> None:
    first, second = pacer_at(redis), pacer_at(redis)
    assert ask(first).seats == 16
    assert ask(first, starts=0, in_flight=6, outstanding=6).seats == 6
    assert ask(second).seats == 10


def test_where_calls_are_quick_few_seats_serve_many_starts(redis: Redis) -> None:
    admission = ask(pacer_at(redis, max_in_flight=4), starts=40, call_seconds=0.002)
    assert admission.seats <= 4
    assert admission.starts > 20


# -- the year ----------------------------------------------------------------------------------------------------------


def test_no_call_starts_beyond_the_year_however_many_holders_ask(redis: Redis) -> None:
    pacers = [pacer_at(redis, calls_per_year=100, stop_at_yearly_quota=True) for _ in range(8)]

    def use_up(pacer: Pacer) -> int:
        started = 0
        while (admission := ask(pacer, starts=7)).reason != "quota":
            started += admission.starts
            assert started <= 100
            time.sleep(min(admission.wait_seconds, 0.01))
        return started

    with ThreadPoolExecutor(len(pacers)) as pool:
        assert sum(pool.map(use_up, pacers)) == 100
    refused = ask(pacers[0])
    assert (refused.starts, refused.reason) == (0, "quota")
    assert refused.wait_seconds >= 30
    assert ask(pacer_at(redis, calls_per_year=100)).starts > 0  # a destination that may go beyond


def test_asking_for_no_start_is_no_question_of_the_year(redis: Redis) -> None:
    pacer = pacer_at(redis, stop_at_yearly_quota=True)
    assert ask(pacer).starts == 16
    keeps = ask(pacer, starts=0, in_flight=16, outstanding=16)
    assert keeps.reason != "quota"
    assert keeps.wait_seconds < 2


# -- fairness ----------------------------------------------------------------------------------------------------------


def test_a_small_flow_beside_a_huge_one_gets_its_starts(redis: Redis) -> None:
    huge = [Worker(pacer_at(redis, flow="huge", calls_per_minute=6_000), 0.05) for _ in range(7)]
    small = Worker(pacer_at(redis, flow="small", calls_per_minute=6_000), 0.05, every=0.05)
    run([*huge, small], 3)
    assert small.came_in >= 50
    assert len(small.granted) >= 0.9 * small.came_in
    assert sum(len(worker.granted) for worker in (*huge, small)) > 270


def test_a_flow_of_one_holder_gets_about_as_much_as_one_of_seven(redis: Redis) -> None:
    huge = [Worker(pacer_at(redis, flow="huge", calls_per_minute=6_000), 0.05) for _ in range(7)]
    other = Worker(pacer_at(redis, flow="other", calls_per_minute=6_000), 0.05)
    run([*huge, other], 3)
    assert len(other.granted) >= 0.35 * (len(other.granted) + sum(len(worker.granted) for worker in huge))


def test_backfill_takes_what_live_calls_leave(redis: Redis) -> None:
    behind = [Worker(pacer_at(redis, flow="camp", calls_per_minute=6_000), 0.05, backfill=True) for _ in range(7)]
    live = Worker(pacer_at(redis, flow="camp", calls_per_minute=6_000), 0.05, every=0.0125)  # 80 % of the rate
    run([*behind, live], 3)
    assert len(live.granted) >= 0.9 * live.came_in
    assert sum(len(worker.granted) for worker in behind) > 20


def test_freed_seats_go_to_the_flow_that_waits(redis: Redis) -> None:
    huge, small, backfill = pacer_at(redis, flow="huge"), pacer_at(redis, flow="small"), pacer_at(redis, flow="huge")
    assert ask(huge).seats == 16
    assert ask(small).starts == 0
    assert ask(backfill, backfill=True).starts == 0
    # half of its calls are answered: it has its share, and gets no more while others wait
    assert ask(huge, in_flight=8, outstanding=8, accepted=8).starts == 0
    assert ask(small).starts > ask(backfill, backfill=True).starts


@pytest.mark.parametrize(("behind", "more"), [(False, 0), (True, 2)])
def test_backfill_keeps_half_its_share_of_seats_while_live_calls_wait(redis: Redis, behind: bool, more: int) -> None:
    backfill, other = pacer_at(redis, flow="huge"), pacer_at(redis, flow="small")
    assert ask(backfill, backfill=True).seats == 16
    assert ask(other, backfill=behind).starts == 0
    # a share is 8 of the 16 seats
    assert ask(backfill, backfill=True, in_flight=6, outstanding=6, accepted=10).starts == more


def test_more_flows_than_seats_take_turns(redis: Redis) -> None:
    pacers = [pacer_at(redis, flow=flow, max_in_flight=1) for flow in ("one", "two")]
    assert ask(pacers[0]).starts == 1
    made = [1, 0]
    for _ in range(20):  # who had a call is answered and asks for the next; who waits asks again
        for n, pacer in enumerate(pacers):
            made[n] += ask(pacer, accepted=min(1, made[n])).starts
    assert min(made) >= 5
