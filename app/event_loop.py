"""The event loop of this process: one thread on which all calls to Marketing Cloud are made and all lanes are worked on.

Threads that wait for answers hand over to one another, which costs more than the calls themselves (docs/decisions/0018). What has to
block runs on a thread of `in_thread`; what waits for Marketing Cloud on one of `in_token_thread` if it is a request for a token, or of
`in_fetch_thread` if it is calls, which need a token themselves, as for definitions.
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

# Of each kind; names are resolved on others, the loop's own, so that these may wait for a call
THREADS = 32
WITHOUT_PAUSE_SECONDS = 0.001  # so long one coroutine may compute before others have their turn


class EventLoop:
    """Starts with its first use, in each process anew. For any thread but its own; a coroutine must use only `in_thread`,
    `in_token_thread` or `in_fetch_thread`.
    """

    def __init__(self) -> None:
        self._lock = RLock()  # also asked for by a handler of signals
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
        """Run a coroutine on the loop and wait for what comes of it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the waiting was interrupted; no more than that if it has ended
            raise

    def call(self, act: Callable[..., None], *arguments: Any) -> None:
        """Have a function called on the loop, and do not wait for it."""
        self.loop.call_soon_threadsafe(act, *arguments)

    async def in_thread(self, act: Callable[..., T], *arguments: Any) -> T:
        """Wait for a function that blocks, without keeping the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, act, *arguments)

    async def in_token_thread(self, act: Callable[..., T], *arguments: Any) -> T:
        """The same for a request for a token: many that wait for one must not keep what asks Redis."""
        return await asyncio.get_running_loop().run_in_executor(self._token_threads, act, *arguments)

    async def in_fetch_thread(self, act: Callable[..., T], *arguments: Any) -> T:
        """The same for what makes calls there: many of them may wait for a token, for which such a thread has to be free."""
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
        """Until it is set, or was since the last wait; no longer than `seconds`."""
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
    """What takes long on the loop: one at a time, and with pauses in which others have their turn::

        async with LongComputation() as computation:
            for item in many:
                ...
                await computation.pause()

    Nothing else is to be waited for within: all other computations wait for its end.
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
