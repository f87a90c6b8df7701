"""Reads the catalog of fields again, at most once in a session."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable


class Reloading:
    """One reload, begun by the first call that was refused for an attribute and awaited by all such calls.

    `reload` returns whether anything was read; if not, the next such call tries again.
    """

    def __init__(self, reload: Callable[[], Awaitable[bool]]) -> None:
        self._reload = reload
        self._under_way: asyncio.Task[None] | None = None
        self._ended_at = math.inf

    @property
    def is_under_way(self) -> bool:
        return self._under_way is not None and not self._under_way.done()

    def concerns(self, sent_at: float) -> bool:
        """Return whether a call sent at that time (time.monotonic()) used the old catalog and is to be repeated."""
        return sent_at < self._ended_at

    async def wait(self) -> None:
        """Wait for the reload, starting it if need be. Raises: what `reload` raises."""
        if self._under_way is None:
            self._under_way = asyncio.ensure_future(self._run())
        await asyncio.shield(self._under_way)

    async def _run(self) -> None:
        was_read = True
        try:
            was_read = await self._reload()
        finally:
            if was_read:
                self._ended_at = time.monotonic()
            else:
                self._under_way = None
