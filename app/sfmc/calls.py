"""What the parts of the client need from it: an authorized call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from app.sfmc.http import WhenLost

Verdict = TypeVar("Verdict")


class Calls(Protocol):
    """`MarketingCloud`, as contacts and attribute sets see it."""

    def call(
        self,
        method: str,
        path: str,
        judge: Callable[[int, Mapping[str, str], bytes], Verdict],
        *,
        body: bytes | None = None,
    ) -> Verdict:
        """See `MarketingCloud.call`."""
        ...

    async def request(
        self,
        method: str,
        path: str,
        judge: Callable[[int, Mapping[str, str], bytes], Verdict],
        *,
        body: bytes | None = None,
        when_lost: WhenLost = ...,
        before_sending: Callable[[], None] | None = None,
        is_measured: bool = False,
    ) -> Verdict:
        """See `MarketingCloud.request`."""
        ...
