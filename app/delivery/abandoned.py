"""Leaving lanes whose last steps are uncertain, also while Redis is away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from app.lanes.lane import Lane

Wake = Callable[[str, Iterable[int]], None]  # sends the wake-ups of these lanes of a destination


class Abandoned:
    """Remembers the lanes that a process has left while it could not tell Redis. Safe for many threads."""

    def __init__(self, *, wake_up_seconds: float) -> None:
        self._wake_up_seconds = wake_up_seconds
        self._untold: deque[tuple[Lane, bool]] = deque()  # with whether an entry of it is to blame

    def leave(self, lane: Lane, *, blame: bool = False) -> bool:
        """Let go of a lane. True when its wake-up is to be sent. When Redis is away, that is told later (`tell`)."""
        try:
            return lane.abandon(wake_up_seconds=self._wake_up_seconds, blame=blame)
        except RedisError:
            self._untold.append((lane, blame))
            return False

    def tell(self, wake: Wake) -> None:
        """Tell Redis which lanes were left while it was away, so that they do not count as crashes, and wake them.

        Raises redis-py's errors; what is not told yet is told the next time.
        """
        while True:
            try:
                lane, blame = self._untold.pop()
            except IndexError:
                return
            try:
                is_left = lane.abandon(wake_up_seconds=self._wake_up_seconds, blame=blame)
            except RedisError:
                self._untold.append((lane, blame))
                raise
            if is_left:
                wake(lane.destination_id, (lane.number,))
