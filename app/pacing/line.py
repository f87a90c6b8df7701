"""Who is next at a gate: live before backfill, destinations in turn, and the lanes of each in turn. Pure.

A destination that comes is next, before those that wait already, unless it had a turn among the last of theirs: who has little to
send is served at once, and cannot have more than its turns by coming again and again (as FQ-CoDel does it, RFC 8290).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P")


@dataclass(slots=True)
class Line(Generic[P]):
    """Places (lanes at work) and how many calls each would like to start."""

    _kinds: tuple[OrderedDict[str, OrderedDict[P, int]], ...] = field(
        default_factory=lambda: (OrderedDict(), OrderedDict())  # live, backfill
    )
    _turns: int = 0
    _served: dict[str, int] = field(default_factory=dict)  # the last turn of each destination

    def want(self, place: P, destination_id: str, count: int, *, backfill: bool) -> None:
        """Set what a place would like; 0 takes it out of the line."""
        for kind, wants_backfill in ((0, False), (1, True)):
            destinations = self._kinds[kind]
            places = destinations.get(destination_id)
            if count > 0 and wants_backfill == backfill:
                if places is None:
                    places = destinations[destination_id] = OrderedDict()
                    if self._turns - self._served.get(destination_id, -len(destinations)) >= len(destinations):
                        destinations.move_to_end(destination_id, last=False)
                places[place] = count
            elif places is not None:
                places.pop(place, None)
                if not places:
                    del destinations[destination_id]

    def next(self) -> P | None:
        """Whose turn it is; it wants one less and goes to the end. None when nobody wants anything."""
        for destinations in self._kinds:
            for destination_id, places in destinations.items():
                place, count = places.popitem(last=False)
                if count > 1:
                    places[place] = count - 1
                destinations.move_to_end(destination_id)
                self._turns += 1
                self._served[destination_id] = self._turns
                if not places:
                    del destinations[destination_id]
                return place
        return None

    def waits(self, destination_id: str) -> bool:
        """Whether anybody would like to start a live call of this destination."""
        return destination_id in self._kinds[0]

    @property
    def live(self) -> int:
        """Calls that would be made, live ones."""
        return sum(sum(places.values()) for places in self._kinds[0].values())

    @property
    def backfill(self) -> int:
        return sum(sum(places.values()) for places in self._kinds[1].values())

    def places(self) -> list[P]:
        """All that wait."""
        return [place for destinations in self._kinds for places in destinations.values() for place in places]

    def __bool__(self) -> bool:
        return any(self._kinds)
