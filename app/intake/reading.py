"""Turns a body into its profiles: small ones at once, large ones outside the event loop, as many as can be answered in time.

A body's content takes far more memory than the body itself, and work that delays everybody. So each body is weighed before
it is taken apart, and if there is no room its sender is told at once to come again. A small body never waits for a large
one, and a large one that was admitted is not joined by more than can be done beside it.
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

LARGE_BYTES = 256_000  # inflated; a larger body is taken apart outside the event loop
MOST_SMALL_BYTES = 256_000_000  # of small bodies and their profiles, in one process
MOST_LARGE_BYTES = 32_000_000  # of large ones: about half a second's work; a single one may be larger
COME_AGAIN_SECONDS = 2


@dataclass(frozen=True, slots=True)
class ReadBody:
    """The decoded body and its profiles. Call `leave` once, when both may be forgotten."""

    plain: bytes
    profiles: list[Any]
    leave: Callable[[], None]


class Reader:
    """Takes bodies apart. Lives in one event loop."""

    def __init__(self) -> None:
        self._small = Room(MOST_SMALL_BYTES)
        self._large = Room(MOST_LARGE_BYTES)
        self._inflating = asyncio.Lock()
        # one inflates while another is taken apart; others wait for the lock, so they can still be told to come again
        self._threads = ThreadPoolExecutor(2, "intake-large-bodies")

    async def read(self, body: bytes, content_encoding: str) -> ReadBody:
        """Read a body. May be cancelled; what a thread is still doing then keeps its room until it ends.

        Raises: `RequestRefused`.
        """
        plain = inflate_within(LARGE_BYTES, body, content_encoding) if len(body) <= LARGE_BYTES else None
        if plain is None:
            return await self._read_large(body, content_encoding)
        leave = _enter(self._small, weigh(plain))
        try:
            return ReadBody(plain, read_profiles(plain), leave)
        except BaseException:
            leave()
            raise

    async def _read_large(self, body: bytes, content_encoding: str) -> ReadBody:
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
            return ReadBody(plain, await asyncio.shield(reading), leave)
        except BaseException:
            reading.add_done_callback(lambda _: leave())
            raise


def _enter(room: Room, weight: int) -> Callable[[], None]:
    """Take room for a body; returns the function that frees it. Raises: `RequestRefused`."""
    if not room.enter(weight):
        raise _full()
    return partial(room.leave, weight)


def _full() -> RequestRefused:
    return unavailable(
        "The intake has more to do than it can do in time.", "overloaded", retry_after_seconds=COME_AGAIN_SECONDS
    )
