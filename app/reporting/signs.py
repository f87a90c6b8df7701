"""For how long Redis has taken the signs of life of this process. Pure."""

from __future__ import annotations

from math import inf

GAP_SECONDS = 15.0  # signs come every few seconds; half of the time after which a silent process is taken for gone


class SignsOfLife:
    """While Redis takes none of this process, it takes none of any other: their silence, and that of the sweep, tells nothing.

    Times are those of `time.monotonic`. One thread gives signs, others ask.
    """

    def __init__(self) -> None:
        self._since = self._last = -inf

    def taken(self, now: float) -> None:
        """Redis has taken one."""
        if now - self._last > GAP_SECONDS:
            self._since = now
        self._last = now

    def unbroken_seconds(self, now: float) -> float:
        """Since when without a gap; 0 within one, `inf` in a process that gives no signs."""
        if self._last == -inf:
            return inf
        return 0.0 if now - self._last > GAP_SECONDS else now - self._since
