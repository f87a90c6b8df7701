"""The answer to a question for starts: how many, when, and why no more. Pure."""

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
    """`count` starts, evenly spaced, the first one `first_seconds` after `answered_at` (time.monotonic()).

    `wait_seconds`: when to ask again. `learns`: it is the asker's turn to learn the pace. `scarce`: somebody is short of
      permits.
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
