"""Lanes whose last steps are uncertain, and those that were left without a word while Redis was away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from app.lanes.lane import Lane

Wake = Callable[[str, Iterable[int]], None]  # sends the wake-ups of these lanes of a destination


class Abandoned:
    """The lanes that a process has left and could not say so. Safe for many threads."""

    def __init__(self, *, wake_up_seconds: float) -> None:
        self._wake_up_seconds = wake_up_seconds
        self._untold: deque[tuple[Lane, bool]] = deque()  # and whether an entry of it is to blame

    def leave(self, lane: Lane, *, blame: bool = False) -> bool:
        """Let go of a lane. True when its wake-up is to be sent; when Redis is away, it is told later (`tell`)."""
        try:
            return lane.abandon(wake_up_seconds=self._wake_up_seconds, blame=blame)
        except RedisError:
            self._untold.append((lane, blame))
            return False

    def tell(self, wake: Wake) -> None:
        """This process is alive: lanes that it had to leave without a word are no crash of it, and are woken.

        Raises redis-py's errors; the lanes that are not told yet wait for the next time.
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
