"""The event loop of this process: one thread that makes all calls to Marketing Cloud and works on all lanes.

Threads that wait for answers hand over to one another, which costs more than the calls themselves (docs/decisions/0018).
Blocking work runs on a thread: `in_token_thread` for a token request; `in_fetch_thread` for calls, such as those for
definitions, which need a token themselves; `in_thread` for anything else.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from threading import RLock, Thread
from typing import Any, Self, TypeVar

import uvloop

T = TypeVar("T")

# Of each kind. Names are resolved on the loop's own threads, so these may wait for a call
THREADS = 32
WITHOUT_PAUSE_SECONDS = 0.001  # how long one coroutine may compute before others have their turn


class EventLoop:
    """An event loop on a thread of its own, started on first use and anew in each process.

    For any thread but its own; a coroutine may use only `in_thread`, `in_token_thread` and `in_fetch_thread`.
    """

    def __init__(self) -> None:
        self._lock = RLock()  # reentrant, as signal handlers take it too
        self._process = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._token_threads: ThreadPoolExecutor | None = None
        self._fetch_threads: ThreadPoolExecutor | None = None
        self.computing = asyncio.Lock()  # held by a `LongComputation`

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                self._loop = uvloop.new_event_loop()
                self.computing = asyncio.Lock()
                self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blocking")
                self._token_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="token")
                self._fetch_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
                self._process = os.getpid()
                Thread(target=self._loop.run_forever, name="event-loop", daemon=True).start()
            return self._loop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return its result."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the wait was interrupted; harmless if it has ended
            raise

    def call(self, act: Callable[..., None], *arguments: Any) -> None:
        """Call a function on the loop without waiting for it."""
        self.loop.call_soon_threadsafe(act, *arguments)

    async def in_thread(self, act: Callable[..., T], *arguments: Any) -> T:
        """Run a blocking function without blocking the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, act, *arguments)

    async def in_token_thread(self, act: Callable[..., T], *arguments: Any) -> T:
        """Do the same for a token request; many that wait for one must not occupy the threads that ask Redis."""
        return await asyncio.get_running_loop().run_in_executor(self._token_threads, act, *arguments)

    async def in_fetch_thread(self, act: Callable[..., T], *arguments: Any) -> T:
        """Do the same for functions that make calls; many may wait for a token, for which a token thread has to be free."""
        return await asyncio.get_running_loop().run_in_executor(self._fetch_threads, act, *arguments)


EVENT_LOOP = EventLoop()


class Signal:
    """Wakes the one coroutine that waits for it."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._is_set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Wait until it is set, or return at once if it was set since the last wait; at most `seconds`."""
        if not self._is_set:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(seconds, self.set)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        self._is_set = False


class LongComputation:
    """A long computation on the loop: one at a time, with pauses in which others have their turn::

        async with LongComputation() as computation:
            for item in many:
                ...
                await computation.pause()

    Wait for nothing else within: all other computations wait for its end.
    """

    async def __aenter__(self) -> Self:
        await EVENT_LOOP.computing.acquire()
        self._until = time.monotonic() + WITHOUT_PAUSE_SECONDS
        return self

    async def __aexit__(self, *_: object) -> None:
        EVENT_LOOP.computing.release()

    async def pause(self) -> None:
        """Let others have their turn, if it is time."""
        if time.monotonic() > self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + WITHOUT_PAUSE_SECONDS
