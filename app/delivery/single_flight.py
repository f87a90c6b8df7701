"""What many lanes ask for at about the same time, found once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from app.event_loop import EVENT_LOOP

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Finds an answer once for all who ask meanwhile, and keeps it for `good_seconds` from when it was asked for.

    For coroutines of the process' event loop alone. `in_thread` is where answers are found.
    """

    def __init__(
        self, good_seconds: float, in_thread: Callable[..., Coroutine[Any, Any, T]] = EVENT_LOOP.in_thread
    ) -> None:
        self._good_seconds = good_seconds
        self._in_thread = in_thread
        self._known: dict[str, tuple[object, float, asyncio.Future[T]]] = {}

    async def get(self, name: str, of: object, find: Callable[..., T], *arguments: Any) -> T:
        """What `find` returns, or returned lately for this name with the same `of`. It runs on a thread; raises what it raises."""
        now = time.monotonic()
        known = self._known.get(name)
        if (
            known is None
            or known[0] != of
            or (known[2].done() and now - known[1] > self._good_seconds)
            or _failed(known[2])
        ):
            known = (of, now, asyncio.ensure_future(self._in_thread(find, *arguments)))
            self._known[name] = known
        return await asyncio.shield(known[2])


def _failed(answer: asyncio.Future[T]) -> bool:
    return answer.done() and answer.exception() is not None
