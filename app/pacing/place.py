"""A lane at the gate of its account: how it is let in, and what it tells of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Called:
    """A call was made, and how long it took. `let_through`: the account judged what it carried, whatever the verdict."""

    let_through: bool
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A lane at a gate.

    `call` makes one call at once, though not after the given moment of time.monotonic(), and tells how it went; None if none was made
    after all. It must not raise. `hold` is told for how many seconds nothing starts; it must not block.
    """

    destination_id: str
    call: Callable[[float], Awaitable[Called | None]]
    hold: Callable[[float], None]
