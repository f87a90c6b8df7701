"""A lane at the gate of its account: how it is let in, and what it says of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing starts for so long; `why` is throttled or quota."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call was made, and took so long."""

    accepted: bool
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A lane at a gate.

    `call` makes one call at once, but not after a moment of time.monotonic(), and returns how it went; None when none was made
    after all. It must not raise. `hold` must not block.
    """

    destination_id: str
    call: Callable[[float], Awaitable[Called | None]]
    hold: Callable[[Held], None]


HandOut = Callable[[], None]
InFlight = Callable[[], int]


class Room:
    """How many calls this process may have in flight, over all accounts.

    Gates that would make calls have a place left to them while others have more in flight than they: turns alone would give an
    account with quick calls a place now and then, and all the others to those with slow ones. `hand_out` is the function that a gate
    makes its calls by, and stands for it.
    """

    def __init__(self, size: int) -> None:
        self.size = self.free = size
        self._coming: dict[HandOut, InFlight] = {}  # would make calls, soon or when there is a place
        self._waiting: dict[HandOut, None] = {}  # found none

    def come(self, hand_out: HandOut, in_flight: InFlight) -> None:
        """The gate would make calls."""
        self._coming.setdefault(hand_out, in_flight)

    def leave(self, hand_out: HandOut) -> None:
        """The gate would make none."""
        self._coming.pop(hand_out, None)
        self._waiting.pop(hand_out, None)

    def has_place(self, hand_out: HandOut, in_flight: InFlight) -> bool:
        """Whether the gate may begin a call, and leaves one place to each that has fewer."""
        if self.free > len(self._coming):
            return True
        fewer = in_flight() - 1
        return self.free > sum(count() < fewer for gate, count in self._coming.items() if gate != hand_out)

    def wait(self, hand_out: HandOut) -> None:
        """Have the gate's function called when a call has ended, of whatever gate."""
        self._waiting.setdefault(hand_out)

    def end_call(self, hand_out: HandOut) -> None:
        """A call of this gate has ended. Those that wait have their turn, who has the fewest calls first."""
        self.free += 1
        waiting, self._waiting = self._waiting, {}
        waiting.setdefault(hand_out)
        passed_over: dict[HandOut, None] = {}
        for gate in sorted(waiting, key=lambda gate: self._coming[gate]() if gate in self._coming else 0):
            if self.free > 0 or gate == hand_out:  # which looks at its next start in any case
                gate()  # and waits again if it would make more calls
            else:
                passed_over[gate] = None
        self._waiting = passed_over | self._waiting
