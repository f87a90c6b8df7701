"""Leaves lanes whose last steps are uncertain, even while Redis is away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from app.lanes.lane import Lane

Wake = Callable[[str, Iterable[int]], None]  # sends wake-ups: (destination id, lane numbers)


class Abandoned:
    """The lanes that this process has left without being able to tell Redis. Safe to share between threads."""

    def __init__(self, *, wake_up_seconds: float) -> None:
        self._wake_up_seconds = wake_up_seconds
        self._untold: deque[tuple[Lane, bool]] = deque()  # (lane, blame)

    def leave(self, lane: Lane, *, blame: bool = False) -> bool:
        """Let go of a lane; while Redis is away, `tell` reports it later.

        `blame`: an entry of the lane caused this.

        Returns whether to send the lane's wake-up.
        """
        try:
            return lane.abandon(wake_up_seconds=self._wake_up_seconds, blame=blame)
        except RedisError:
            self._untold.append((lane, blame))
            return False

    def tell(self, wake: Wake) -> None:
        """Tell Redis which lanes were left while it was away, so that they do not count as crashes, and wake them.

        Raises: redis-py's errors; the remaining lanes are reported next time.
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
