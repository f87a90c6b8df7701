"""Decides who may send to a destination: by credentials and certificates, and while Redis cannot be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.errors import RequestRefused
from app.intake.credentials import certified, is_local, presented_key
from app.intake.problems import unavailable
from app.intake.register import check_destination
from app.intake.sources import IntakeSource

if TYPE_CHECKING:
    from app.intake.register import Register
    from app.proxies import Proxies

ASK_SECONDS = 1.2
BETWEEN_SECONDS = 0.2
LOCAL = "local"


class Admission:
    """Decides who may send what."""

    def __init__(self, register: Register, proxies: Proxies, *, open_to_local: bool) -> None:
        self.register = register
        self._proxies = proxies
        self._open = open_to_local
        self._refreshing = asyncio.Lock()
        self._refreshed_at = 0.0  # when the last successful reading began
        self._failed_at = 0.0  # when the last failed reading ended

    async def source(self, peer: str, headers: Mapping[bytes, bytes], destination: str) -> IntakeSource:
        """Return the sender of a request. Raises: `RequestRefused`."""
        key = presented_key(headers)
        if not key and self._open and is_local(peer, headers):
            if not self.register.is_read:  # its job is named by the hour
                await self.look_again()
            return IntakeSource(LOCAL, (destination,))
        source = self.register.of_key(key) if key else None
        if source is None and key:
            await self.look_again()
            source = self.register.of_key(key)
            if source is None and self.register.may_be_locked(key):
                raise unavailable(
                    "The record of a source cannot be opened, perhaps of the one that sends this.", "sources_locked"
                )
        if source is None:
            raise RequestRefused(
                "The key or token of this request is not known." if key else "This request has no key.",
                status=401,
                code="unknown_key",
                remedy="Send `Authorization: Bearer KEY` with a key that `activation source add` printed.",
            )
        return source

    def check(self, source: IntakeSource, peer: str, headers: Mapping[bytes, bytes], destination: str) -> None:
        """Check that a source may send to a destination. Raises: `RequestRefused`."""
        check_destination(source, destination, certified(peer, headers, self._proxies))

    async def look_again(self) -> None:
        """Read the sources again, since a key may be newer than what is known.

        All requests that come during one reading share the next, or its failure, so a flood of wrong keys costs Redis only
        a few readings a second. Nobody waits longer than `ASK_SECONDS`, including the wait for others.

        Raises: `RequestRefused` if the sources cannot be read.
        """
        came_at = time.monotonic()
        try:
            async with asyncio.timeout(ASK_SECONDS), self._refreshing:
                if self._refreshed_at < came_at:
                    await self._refresh(came_at)
        except Exception as error:
            raise unavailable("Redis cannot be asked who this is.", "storage") from error

    async def _refresh(self, came_at: float) -> None:
        if self._failed_at >= came_at:
            raise TimeoutError
        await asyncio.sleep(self._refreshed_at + BETWEEN_SECONDS - time.monotonic())
        begun_at = time.monotonic()
        try:
            await asyncio.to_thread(self.register.refresh)
        except BaseException:  # a timeout arrives as a cancellation
            self._failed_at = time.monotonic()
            raise
        self._refreshed_at = begun_at
