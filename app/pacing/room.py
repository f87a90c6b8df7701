"""The slots of a worker process for calls in flight, shared by all of its gates. Pure."""

from __future__ import annotations

from typing import Protocol


class CallingGate(Protocol):
    """What the room needs to know of a gate."""

    @property
    def in_flight(self) -> int:
        """How many of its calls have not ended."""

    def hand_out(self) -> None:
        """Begin the calls that may begin now."""


class Room:
    """Limits how many calls this process has in flight, over all accounts.

    A gate leaves a slot to each waiting gate that has fewer calls in flight. If gates merely took turns, an account with
    quick calls would get a slot now and then, and those with slow calls all the others.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._coming: dict[CallingGate, None] = {}  # would make calls, now or soon
        self._waiting: dict[CallingGate, None] = {}  # found no slot

    @property
    def free(self) -> int:
        return self._free

    @property
    def used_share(self) -> float:
        """The share of slots in use, from 0 to 1."""
        return 1 - self._free / self._size

    def come(self, gate: CallingGate) -> None:
        """Note that the gate would make calls."""
        self._coming.setdefault(gate)

    def leave(self, gate: CallingGate) -> None:
        """Note that the gate would make no calls."""
        self._coming.pop(gate, None)
        self._waiting.pop(gate, None)

    def has_slot(self, gate: CallingGate) -> bool:
        """Return whether the gate may begin a call and still leave a slot to each gate with fewer calls in flight."""
        if self._free > len(self._coming):
            return True
        fewer = gate.in_flight - 1
        return self._free > sum(other.in_flight < fewer for other in self._coming if other is not gate)

    def wait(self, gate: CallingGate) -> None:
        """Let the gate hand out when a call of any gate ends."""
        self._waiting.setdefault(gate)

    def take(self) -> None:
        """Note that a call begins."""
        self._free -= 1

    def give_back(self, gate: CallingGate) -> None:
        """Note that a call of this gate has ended, and give waiting gates their turn, the one with the fewest calls first."""
        self._free += 1
        waiting, self._waiting = self._waiting, {}
        waiting.setdefault(gate)
        passed_over: dict[CallingGate, None] = {}
        for other in sorted(waiting, key=lambda other: other.in_flight if other in self._coming else 0):
            if self._free > 0 or other is gate:  # this gate sets its timer in any case
                other.hand_out()  # and waits again if it would make more calls
            else:
                passed_over[other] = None
        self._waiting = passed_over | self._waiting
