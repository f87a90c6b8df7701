"""What a session does while Redis is away for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as TimedOut

if TYPE_CHECKING:
    from app.lanes.lane import Lane

T = TypeVar("T")

AWAY = (ConnectionFailed, TimedOut, ReadOnlyError)  # by its own errors: Redis does not answer, or is no master
AWAY_SECONDS = 0.3  # it is asked again so often


async def outlast(lane: Lane, act: Callable[[], Awaitable[T]]) -> T:
    """Try again while Redis is away, for as long as the lane cannot be another's; then raises redis-py's error.

    If the session ended at once, what its calls came to since the last settlement would be lost, and the calls made again.
    """
    while True:
        try:
            return await act()
        except AWAY:
            if not lane.is_held:
                raise
        await asyncio.sleep(AWAY_SECONDS)
