"""From the bytes of a body to its profiles: small ones at once, large ones beside the event loop, as many as can be answered in time.

What a body holds takes far more memory than the body, and work that everybody waits for. So each is weighed before it is taken
apart, and what has no room is to come again at once. A small body waits for no large one, and a large one that was let in is not
joined by more than can be done beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.errors import RequestRefused
from app.intake.bodies import inflate, inflate_within, read_profiles, weigh
from app.intake.problems import unavailable
from app.intake.room import Room

LARGE_BYTES = 256_000  # inflated; such a body is taken apart beside the event loop
MOST_SMALL_BYTES = 256_000_000  # of small bodies and their profiles, in one process
MOST_LARGE_BYTES = 32_000_000  # of large ones: about half a second's work, and any one if it is alone
COME_AGAIN_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Read:
    """The body as it was before it was encoded, and its profiles. `leave` is to be called once, when both may be forgotten."""

    plain: bytes
    profiles: list[Any]
    leave: Callable[[], None]


class Reader:
    """Takes bodies apart. Lives in one event loop."""

    def __init__(self) -> None:
        self._small = Room(MOST_SMALL_BYTES)
        self._large = Room(MOST_LARGE_BYTES)
        self._inflating = asyncio.Lock()
        # one inflates while another is taken apart; who waits does so for the lock, and can be told to come again
        self._threads = ThreadPoolExecutor(2, "intake-large-bodies")

    async def read(self, body: bytes, content_encoding: str) -> Read:
        """Raises `RequestRefused`. May be cancelled: what a thread then still does keeps its room until it has ended."""
        plain = inflate_within(LARGE_BYTES, body, content_encoding) if len(body) <= LARGE_BYTES else None
        if plain is None:
            return await self._read_large(body, content_encoding)
        leave = _enter(self._small, weigh(plain))
        try:
            return Read(plain, read_profiles(plain), leave)
        except BaseException:
            leave()
            raise

    async def _read_large(self, body: bytes, content_encoding: str) -> Read:
        loop = asyncio.get_running_loop()

        def inflated() -> tuple[bytes, int]:
            plain = inflate(body, content_encoding)
            return plain, weigh(plain)

        async with self._inflating:
            if self._large.full:
                raise _full()
            plain, weight = await loop.run_in_executor(self._threads, inflated)
            leave = _enter(self._large, weight)
        reading = loop.run_in_executor(self._threads, read_profiles, plain)
        try:
            return Read(plain, await asyncio.shield(reading), leave)
        except BaseException:
            reading.add_done_callback(lambda _: leave())
            raise


def _enter(room: Room, weight: int) -> Callable[[], None]:
    """How to leave it again. Raises `RequestRefused`."""
    if not room.enter(weight):
        raise _full()
    return partial(room.leave, weight)


def _full() -> RequestRefused:
    return unavailable(
        "The intake has more to do than it can do in time.", "overloaded", retry_after_seconds=COME_AGAIN_SECONDS
    )
