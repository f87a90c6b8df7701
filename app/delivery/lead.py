"""Decides which worker process works on the lanes of an account while one process is enough: that process leads it. Pure.

Lanes in one process share a gate and their round trips to Redis, which halves what a paced call costs there, and no process
holds starts or permits that another one needs. So a lane that has work for longer than a slice continues in the process
that leads its account. The lead is only a hint: leases and gates keep the promises, whoever works where.

It is leader election by an expiring key: the first process that finds it unset sets it, and renews it to keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.destinations.model import Limits

EVERYBODY: Final = "*"  # instead of a leader: the account needs more than one process
TAKES_BELOW: Final = 0.5  # of its capacity: a lead brings more work
FULL_AT: Final = 0.9
# A process makes at most some 300 calls a second, and 64 at once: 100 a second if each takes 0.6 s. An account that may need
# more is spread from the beginning
MOST_CALLS_PER_MINUTE: Final = 6_000


class Move(StrEnum):
    """What a process does about the lead of an account that it works for."""

    STAY = "stay"  # work here, whoever else works on the account
    TAKE = "take"
    KEEP = "keep"
    HAND_OVER = "hand over"  # leave the lane to the leader
    GIVE_UP = "give up"  # let another process lead
    SPREAD = "spread"  # let all processes work on the account for a while


@dataclass(frozen=True, slots=True)
class Busy:
    """How much of a process's capacity is in use, each from 0 to 1: lanes of accounts that it leads, calls in flight, and CPU."""

    lanes: float
    calls: float
    cpu: float

    @property
    def share(self) -> float:
        return max(self.lanes, self.calls, self.cpu)

    def __str__(self) -> str:
        return f"lanes {self.lanes:.0%}, calls in flight {self.calls:.0%}, CPU {self.cpu:.0%}"


def may_be_led(limits: Limits) -> bool:
    """Return whether one process may be enough for an account with these limits."""
    return limits.calls_per_minute <= MOST_CALLS_PER_MINUTE


def next_move(leader: str, process: str, busy: Busy, *, leads: int, patient: bool = False) -> Move:
    """Decide what `process` does about an account that `leader` leads ('' for nobody).

    `leads`: how many accounts the process leads.
    `patient`: it has just taken or given up another lead and waits to see the effect.
    """
    if leader == EVERYBODY:
        return Move.STAY
    if not leader:
        return Move.TAKE if busy.share < TAKES_BELOW and not patient else Move.STAY
    if leader != process:
        return Move.HAND_OVER
    if busy.share < FULL_AT or patient:
        return Move.KEEP
    return Move.GIVE_UP if leads > 1 else Move.SPREAD
