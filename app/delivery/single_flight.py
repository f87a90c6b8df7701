"""What many lanes ask at about the same time, asked once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from app.event_loop import EVENT_LOOP

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Caches answers by name for `good_seconds` from the moment of asking; while one is being found, all callers wait for it.

    For coroutines of the process' event loop alone. `in_thread` is where answers are found.
    """

    def __init__(
        self, good_seconds: float, in_thread: Callable[..., Coroutine[Any, Any, T]] = EVENT_LOOP.in_thread
    ) -> None:
        self._good_seconds = good_seconds
        self._in_thread = in_thread
        self._known: dict[str, tuple[object, float, asyncio.Future[T]]] = {}

    async def get(self, name: str, of: object, find: Callable[..., T], *arguments: Any) -> T:
        """What `find` returned lately for this name and the same `of`, or else returns now, on a thread. Raises what it raises."""
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
