"""The starts that a gate has in hand: when its next call may begin, and until when. Pure.

A start that is missed by more than a share of the time between two is given up: a busy machine makes fewer calls, never a bunch of
them. Two that come together use up what the account lets pass as a burst, and it stays used up, as the pace is only a little below
what is allowed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.pacing.starts import Starts

LATEST_START = 0.75  # of the time between two starts: a later one is given up
MOST_LATE_SECONDS, LEAST_LATE_SECONDS = 0.1, 0.015
# A slow Redis must not make every start too late: none is asked for that would come before its answer
MOST_DELAY_SECONDS, DELAY_KEPT = 0.5, 0.9


def late_seconds(interval_seconds: float) -> float:
    """How late a call may begin where starts are this far apart."""
    return min(MOST_LATE_SECONDS, max(LEAST_LATE_SECONDS, LATEST_START * interval_seconds))


class Schedule:
    """Starts, ascending; all times are of time.monotonic().

    `interval_seconds` lie between two starts of the account (0: not known). `ahead_seconds`: how far ahead its schedule was given out
    already when it was last asked. `delay_seconds`: how long it took, lately, from an answer until its starts could be used.
    """

    def __init__(self) -> None:
        self._starts: deque[float] = deque()
        self._late_seconds = MOST_LATE_SECONDS
        self._unused = 0
        self.interval_seconds = 0.0
        self.ahead_seconds = 0.0
        self.delay_seconds = 0.0

    def __iter__(self) -> Iterator[float]:
        return iter(self._starts)

    @property
    def first(self) -> float | None:
        """When the next call may begin; None when there is no start."""
        return self._starts[0] if self._starts else None

    @property
    def unused(self) -> int:
        """Starts that came to nothing, of which the account is to be told."""
        return self._unused

    def before(self, moment: float) -> list[float]:
        """The starts before a moment."""
        return [start for start in self._starts if start < moment]

    # -- using them ----------------------------------------------------------------------------------------------------

    def is_due(self, now: float) -> bool:
        """Whether a call may begin. Starts that are missed are given up."""
        if not self._starts or self._starts[0] > now:
            return False
        self.drop_late(now)
        return bool(self._starts) and self._starts[0] <= now

    def take(self) -> float:
        """Use the start that is due. The call must not begin after the moment returned."""
        return self._starts.popleft() + self._late_seconds

    def drop_late(self, now: float) -> None:
        """Give up the starts that are missed."""
        late = now - self._late_seconds
        while self._starts and self._starts[0] < late:
            self._starts.popleft()
            self._unused += 1

    def put_off(self, now: float) -> None:
        """Starts whose time came while all permits were in use count from now, as far apart as they were. Else calls would go in step
        with the questions to Redis.
        """
        if self._starts and (seconds := now - self._starts[0]) > 0:
            self._starts = deque(start + seconds for start in self._starts)

    def clear(self) -> None:
        """Give up all of them."""
        self._unused += len(self._starts)
        self._starts.clear()

    def came_to_nothing(self, count: int) -> None:
        """`count` starts were not used, of those that were taken or never added."""
        self._unused += count

    def take_unused(self) -> int:
        """How many came to nothing; each is told the account once."""
        unused, self._unused = self._unused, 0
        return unused

    # -- answers -------------------------------------------------------------------------------------------------------

    def learn(self, answer: Starts, *, wanted: int, lead_seconds: float) -> None:
        """What an answer tells of the account's schedule. `wanted` starts were asked for, none sooner than `lead_seconds`."""
        self.interval_seconds = answer.interval_seconds
        self._late_seconds = late_seconds(answer.interval_seconds)
        if wanted:
            self.ahead_seconds = answer.first_seconds - lead_seconds

    def add(self, answer: Starts) -> None:
        """Take the starts that were granted, behind those in hand."""
        first = answer.answered_at + answer.first_seconds
        if self._starts:
            first = max(first, self._starts[-1] + answer.interval_seconds)
        self._starts.extend(first + number * answer.interval_seconds for number in range(answer.count))

    def used(self, answer: Starts, now: float) -> None:
        """The starts of an answer can be used from now on; how long that took tells how early to ask."""
        delay_seconds = min(MOST_DELAY_SECONDS, now - answer.answered_at)
        self.delay_seconds = max(delay_seconds, DELAY_KEPT * self.delay_seconds)
