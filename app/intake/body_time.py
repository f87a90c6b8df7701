"""How long the bodies of one process may take, which is less once it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

BODY_SECONDS = 30.0
STOPPING_SECONDS = 3.0


class BodyTime:
    """Lives in one event loop. `stopping`: what is under way gets its answer; bodies that are still coming have some seconds."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reading: set[asyncio.Timeout] = set()
        self.stopping = False

    def begin_to_stop(self) -> None:
        if not self.stopping:
            self.stopping = True
            for limit in self._reading:
                limit.reschedule(self._loop.time() + STOPPING_SECONDS)

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Around the reading of one body. Raises `TimeoutError`."""
        async with asyncio.timeout(STOPPING_SECONDS if self.stopping else BODY_SECONDS) as limit:
            self._reading.add(limit)
            try:
                yield
            finally:
                self._reading.discard(limit)
