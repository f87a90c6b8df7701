"""A lane at the gate of its account: how it is let in, and what it says of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Called:
    """A call was made, and took so long. `let_through`: the account judged what it carried, whatever came of that."""

    let_through: bool
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A lane at a gate.

    `call` makes one call at once, but not after a moment of time.monotonic(), and returns how it went; None when none was made
    after all. It must not raise. `hold` says for how many seconds nothing starts, and must not block.
    """

    destination_id: str
    call: Callable[[float], Awaitable[Called | None]]
    hold: Callable[[float], None]
