"""How long to wait before the next try. Pure but for the dice."""

from __future__ import annotations

import random


def full_jitter(attempt: int, *, base_seconds: float, cap_seconds: float) -> float:
    """A delay anywhere between nothing and base * 2**(attempt - 1), never above the cap; attempts count from 1.

    Full jitter spreads the retries of many contacts most evenly (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """
    return random.uniform(0, min(cap_seconds, base_seconds * 2 ** min(max(attempt, 1) - 1, 30)))  # noqa: S311  # not a secret
