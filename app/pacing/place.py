"""A lane at the gate of its account: how it is let in, and what it reports about a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Called:
    """A call that was made. `let_through`: the account judged its content, whatever the verdict."""

    let_through: bool
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A lane at a gate.

    `call`: makes one call at once, but not after the given moment (time.monotonic()), and returns how it went; None if none
      was made after all. Must not raise.
    `hold`: is told for how many seconds nothing starts. Must not block.
    """

    destination_id: str
    call: Callable[[float], Awaitable[Called | None]]
    hold: Callable[[float], None]
