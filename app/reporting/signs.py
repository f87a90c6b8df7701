"""How long Redis has been taking this process's signs of life. Pure."""

from __future__ import annotations

from math import inf

GAP_SECONDS = 15.0  # signs come every few seconds; half the time after which a silent process is considered gone


class SignsOfLife:
    """Tracks when Redis took our signs of life. While it takes none of ours it takes nobody's, so their silence means nothing.

    Times are those of time.monotonic(). One thread reports signs, others ask.
    """

    def __init__(self) -> None:
        self._since = self._last = -inf

    def taken(self, now: float) -> None:
        """Note that Redis has taken a sign of life."""
        if now - self._last > GAP_SECONDS:
            self._since = now
        self._last = now

    def unbroken_seconds(self, now: float) -> float:
        """Return how long signs have been taken without a gap; 0 within one, `inf` in a process that gives no signs."""
        if self._last == -inf:
            return inf
        return 0.0 if now - self._last > GAP_SECONDS else now - self._since
