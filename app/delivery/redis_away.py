"""What a session does while Redis is briefly away."""

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

AWAY = (ConnectionFailed, TimedOut, ReadOnlyError)  # Redis does not answer, or is no master
AWAY_SECONDS = 0.3  # between two tries


async def outlast(lane: Lane, act: Callable[[], Awaitable[T]]) -> T:
    """Repeat `act` while Redis is away, as long as the lane certainly belongs to us; then raise redis-py's error.

    If the session ended at once, the results of its calls since the last settlement would be lost and the calls made again.
    """
    while True:
        try:
            return await act()
        except AWAY:
            if not lane.is_held:
                raise
        await asyncio.sleep(AWAY_SECONDS)
