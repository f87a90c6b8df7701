"""Reading the catalog of fields again, once in a session at most."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable


class Reloading:
    """Begins with the first call that was refused for an attribute; all such calls wait for the same reload.

    `reload` tells whether anything was read; if not, there is another one after the next such call.
    """

    def __init__(self, reload: Callable[[], Awaitable[bool]]) -> None:
        self._reload = reload
        self._under_way: asyncio.Task[None] | None = None
        self._ended_at = math.inf

    @property
    def is_under_way(self) -> bool:
        return self._under_way is not None and not self._under_way.done()

    def concerns(self, sent_at: float) -> bool:
        """Whether a call sent then was made from the old catalog, and is to be made again."""
        return sent_at < self._ended_at

    async def wait(self) -> None:
        """Wait for the reload, and begin it if nobody has. Raises what it raises."""
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
