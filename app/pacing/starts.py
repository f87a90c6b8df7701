"""The answer to a question for starts of calls: how many, when, and what keeps more from starting. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """What keeps more calls from starting now."""

    NOTHING = ""
    RATE = "rate"
    THROTTLED = "throttled"  # the account asked to be left alone
    QUOTA = "quota"  # the calls of the year are used up


@dataclass(frozen=True, slots=True)
class Starts:
    """So many, the first `first_seconds` after `answered_at` (time.monotonic()), evenly spaced.

    `wait_seconds`: when to ask again. `learns`: it is the turn of who asked to learn the pace. `scarce`: somebody is short of permits.
    """

    count: int
    answered_at: float
    first_seconds: float
    interval_seconds: float
    wait_seconds: float
    why: Why
    learns: bool
    scarce: bool

    @property
    def is_pause(self) -> bool:
        """Whether the account is to be left alone for `wait_seconds`."""
        return self.why in (Why.THROTTLED, Why.QUOTA)
