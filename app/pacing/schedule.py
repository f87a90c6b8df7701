"""The starts that a gate has in hand: when its next call may begin, and until when. Pure.

A start that is missed by more than a share of the interval is given up, so that a busy machine makes fewer calls and never
a bunch of them. Calls that bunch use up the burst that the account tolerates, and it stays used up, as the pace is only a
little below what is allowed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.pacing.starts import Starts

LATEST_START = 0.75  # of the interval: a later start is given up
MOST_LATE_SECONDS, LEAST_LATE_SECONDS = 0.1, 0.015
# With a slow Redis every start would be too late, so none is asked for that precedes the expected answer
MOST_DELAY_SECONDS, DELAY_KEPT = 0.5, 0.9


def late_seconds(interval_seconds: float) -> float:
    """Return how late a call may begin if starts are `interval_seconds` apart."""
    return min(MOST_LATE_SECONDS, max(LEAST_LATE_SECONDS, LATEST_START * interval_seconds))


class Schedule:
    """Starts, ascending; all times are those of time.monotonic().

    `interval_seconds`: between two starts of the account (0: unknown). `ahead_seconds`: how far ahead its schedule was
      already granted when last asked. `delay_seconds`: how long it lately took from an answer until its starts could be
      used.
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
        """When the next call may begin; None if there is no start."""
        return self._starts[0] if self._starts else None

    @property
    def unused(self) -> int:
        """How many unused starts have not been reported to the account yet."""
        return self._unused

    def before(self, moment: float) -> list[float]:
        """Return the starts before a moment."""
        return [start for start in self._starts if start < moment]

    # -- using them ----------------------------------------------------------------------------------------------------

    def is_due(self, now: float) -> bool:
        """Return whether a call may begin; gives up missed starts."""
        if not self._starts or self._starts[0] > now:
            return False
        self.drop_late(now)
        return bool(self._starts) and self._starts[0] <= now

    def take(self) -> float:
        """Use the start that is due. Returns the moment after which the call must not begin."""
        return self._starts.popleft() + self._late_seconds

    def drop_late(self, now: float) -> None:
        """Give up missed starts."""
        late = now - self._late_seconds
        while self._starts and self._starts[0] < late:
            self._starts.popleft()
            self._unused += 1

    def put_off(self, now: float) -> None:
        """Shift all starts so that the first, whose time came while all permits were in use, is due now.

        Otherwise calls would fall into step with the questions to Redis.
        """
        if self._starts and (seconds := now - self._starts[0]) > 0:
            self._starts = deque(start + seconds for start in self._starts)

    def clear(self) -> None:
        """Give up all starts."""
        self._unused += len(self._starts)
        self._starts.clear()

    def came_to_nothing(self, count: int) -> None:
        """Count starts that were taken, or never added, and not used."""
        self._unused += count

    def take_unused(self) -> int:
        """Return how many starts were unused, to be reported to the account once."""
        unused, self._unused = self._unused, 0
        return unused

    # -- answers -------------------------------------------------------------------------------------------------------

    def learn(self, answer: Starts, *, wanted: int, lead_seconds: float) -> None:
        """Take the account's schedule from an answer. `wanted` starts were asked for, none sooner than `lead_seconds`."""
        self.interval_seconds = answer.interval_seconds
        self._late_seconds = late_seconds(answer.interval_seconds)
        if wanted:
            self.ahead_seconds = answer.first_seconds - lead_seconds

    def add(self, answer: Starts) -> None:
        """Append the granted starts to those in hand."""
        first = answer.answered_at + answer.first_seconds
        if self._starts:
            first = max(first, self._starts[-1] + answer.interval_seconds)
        self._starts.extend(first + number * answer.interval_seconds for number in range(answer.count))

    def used(self, answer: Starts, now: float) -> None:
        """Note that an answer's starts can be used now; the delay shows how early to ask."""
        delay_seconds = min(MOST_DELAY_SECONDS, now - answer.answered_at)
        self.delay_seconds = max(delay_seconds, DELAY_KEPT * self.delay_seconds)
