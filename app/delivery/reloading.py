"""One look of a session whether the catalog of fields is old."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable


class Reloading:
    """Begins with the first call that was refused for an attribute; all such calls wait for the same look."""

    def __init__(self, look: Callable[[], Awaitable[None]]) -> None:
        self._look = look
        self._under_way: asyncio.Task[None] | None = None
        self._ended_at = math.inf

    @property
    def is_under_way(self) -> bool:
        return self._under_way is not None and not self._under_way.done()

    def concerns(self, sent_at: float) -> bool:
        """Whether a call of that moment was made from what was known before, and is to be made again."""
        return sent_at < self._ended_at

    async def wait(self) -> None:
        """Wait for its end, and begin it if nobody has. Raises what the look raises."""
        if self._under_way is None:
            self._under_way = asyncio.ensure_future(self._run())
        await asyncio.shield(self._under_way)

    async def _run(self) -> None:
        try:
            await self._look()
        finally:
            self._ended_at = time.monotonic()
