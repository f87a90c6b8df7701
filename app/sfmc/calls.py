"""What the parts of the client need from it: an authorized call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

Judged = TypeVar("Judged")


class Calls(Protocol):
    """`MarketingCloud`, as contacts and attribute sets see it."""

    def call(
        self,
        method: str,
        path: str,
        judge: Callable[[int, Mapping[str, str], bytes], Judged],
        *,
        body: bytes | None = None,
    ) -> Judged:
        """See `MarketingCloud.call`."""
        ...

    async def write(
        self,
        method: str,
        path: str,
        judge: Callable[[int, Mapping[str, str], bytes], Judged],
        body: bytes,
        *,
        before_sending: Callable[[], None] | None = None,
    ) -> Judged:
        """See `MarketingCloud.write`."""
        ...
