"""Modelled accounts in simulated time: how they count calls, how long they take, and a pipeline that paces itself by `next_pace`."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from app.destinations.model import Limits
from app.pacing.observations import Observations
from app.pacing.pace import Pace, next_pace

Verdict = float | None  # None: accepted; else refused, and the seconds to wait (0: it does not say)


class Gcra:
    """A rate with room for a few calls at once; `neighbour` calls a second are others'."""

    def __init__(
        self, rate: Callable[[float], float], burst: float, *, neighbour: float = 0.0, retry_after: float = 1.0
    ):
        self.rate, self.burst, self.neighbour, self.retry_after = rate, burst, neighbour, retry_after
        self.level, self.at = 0.0, 0.0

    def judge(self, now: float) -> Verdict:
        drained = (now - self.at) * (self.rate(now) - self.neighbour)
        self.level, self.at = max(0.0, self.level - drained), now
        if self.level + 1 > self.burst:
            return self.retry_after
        self.level += 1
        return None


class FixedWindow:
    """So many calls in each window of the clock; it says how long the window lasts, or only a second."""

    def __init__(self, calls: int, seconds: float, *, tells: bool):
        self.calls, self.seconds, self.tells = calls, seconds, tells
        self.window, self.used = -1, 0

    def judge(self, now: float) -> Verdict:
        window = int(now // self.seconds)
        if window != self.window:
            self.window, self.used = window, 0
        if self.used >= self.calls:
            return (window + 1) * self.seconds - now if self.tells else 1.0
        self.used += 1
        return None


class SlidingWindow:
    """So many calls in any stretch of time of this length."""

    def __init__(self, calls: int, seconds: float):
        self.calls, self.seconds = calls, seconds
        self.times: deque[float] = deque()

    def judge(self, now: float) -> Verdict:
        while self.times and self.times[0] <= now - self.seconds:
            self.times.popleft()
        if len(self.times) >= self.calls:
            return 1.0
        self.times.append(now)
        return None


@dataclass
class Result:
    """Calls by the second of their arrival at the server, and the pace each time it is learned."""

    accepted: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    paces: list[Pace] = field(default_factory=list)

    def share_refused(self, begin: int, end: int) -> float:
        refused = sum(self.refused.get(second, 0) for second in range(begin, end))
        return refused / max(1, refused + sum(self.accepted.get(second, 0) for second in range(begin, end)))

    def rate(self, begin: int, end: int) -> float:
        return sum(self.accepted.get(second, 0) for second in range(begin, end)) / (end - begin)


def simulate(
    server: Gcra | FixedWindow | SlidingWindow,
    limits: Limits,
    seconds: float,
    *,
    jitter_seconds: float = 0.1,
    call_seconds: float = 0.2,
    most_waits_seconds: float = 60.0,
    seed: int = 1,
) -> Result:
    """A backlog without end. Starts follow the pace; each call reaches the server up to `jitter_seconds` late.

    The account is left alone after a refusal as app/pacing/back_off.lua says: as long as it asks, twice as long each time in a row.
    Then the first calls come singly.
    """
    rng, result, pace = random.Random(seed), Result(), Pace.at_first(limits)
    events: list[tuple[float, int, str, Verdict]] = []
    number, now = 0, 0.0
    next_start, blocked_until, in_a_row, careful, in_flight = 0.0, 0.0, 0, False, 0
    learned_at, waited, accepted, throttled = 0.0, 0.0, 0, 0

    def push(at: float, kind: str, verdict: Verdict = None) -> None:
        nonlocal number
        number += 1
        heapq.heappush(events, (at, number, kind, verdict))

    push(0.0, "start")
    push(1.0, "learn")
    while events and now < seconds:
        now, _, kind, verdict = heapq.heappop(events)
        if kind == "start":
            if now < blocked_until:
                push(blocked_until, "start")
                continue
            if careful and in_flight:
                push(now + 0.02, "start")
                continue
            in_flight += 1
            push(now + rng.uniform(0, jitter_seconds), "arrive")
            next_start = now + 1 / pace.rate.calls_per_second
            push(next_start, "start")
        elif kind == "arrive":
            verdict = server.judge(now)
            counts = result.accepted if verdict is None else result.refused
            counts[int(now)] = counts.get(int(now), 0) + 1
            push(now + (call_seconds if verdict is None else 0.02), "answer", verdict)
        elif kind == "answer":
            in_flight -= 1
            if verdict is None:
                accepted += 1
                in_a_row, careful = 0, False
            else:
                throttled += 1
                if now >= blocked_until:
                    in_a_row += 1
                    wait = max(verdict, min(most_waits_seconds, 2.0 ** (in_a_row - 1)))
                    blocked_until, careful = now + wait, True
                    waited += wait
        else:
            waited_now = min(waited, now - learned_at)
            waited -= waited_now
            pace = next_pace(
                pace,
                Observations(
                    seconds=now - learned_at, waited_seconds=waited_now, accepted=accepted, throttled=throttled,
                    call_seconds=call_seconds if accepted else 0.0, rate_bound=True,
                ),
                limits,
            )  # fmt: skip
            result.paces.append(pace)
            learned_at, accepted, throttled = now, 0, 0
            push(now + 1.0, "learn")
    return result
