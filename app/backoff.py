"""How long to wait before the next try, and when there is none. Pure but for the dice."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings


def full_jitter(attempt: int, *, base_seconds: float, cap_seconds: float) -> float:
    """Return a random delay of up to base * 2**(attempt - 1), never above the cap; attempts count from 1.

    Full jitter spreads the retries of many contacts most evenly (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """
    return random.uniform(0, min(cap_seconds, base_seconds * 2 ** min(max(attempt, 1) - 1, 30)))  # noqa: S311  # not a secret


def is_window_over(since_ms: int, now_ms: int, settings: Settings) -> bool:
    """Return whether the retry window has passed since `since_ms`."""
    return now_ms - since_ms >= settings.retry_window_seconds * 1000


def is_exhausted(tries: int, since_ms: int, now_ms: int, settings: Settings) -> bool:
    """Return whether something was tried for the whole retry window, and often enough."""
    return tries >= settings.retry_minimum and is_window_over(since_ms, now_ms, settings)
