"""Finds once what many lanes ask for at about the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from app.event_loop import EVENT_LOOP

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Answers all concurrent requests with one lookup, and reuses the answer for `good_seconds` after the lookup began.

    Use only from coroutines of the process's event loop. `in_thread` runs the lookup.
    """

    def __init__(
        self, good_seconds: float, in_thread: Callable[..., Coroutine[Any, Any, T]] = EVENT_LOOP.in_thread
    ) -> None:
        self._good_seconds = good_seconds
        self._in_thread = in_thread
        self._known: dict[str, tuple[object, float, asyncio.Future[T]]] = {}

    async def get(self, name: str, of: object, find: Callable[..., T], *arguments: Any) -> T:
        """Return what `find(*arguments)` returns, or lately returned for this `name` with the same `of`.

        `find` runs on a thread.

        Raises: what `find` raises.
        """
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
