"""Who is next at a gate: live before backfill, destinations in turn, and the lanes of each in turn. Pure.

A destination that comes is next, so that who has little to send is served at once (as FQ-CoDel does it, RFC 8290); those that waited
already have every second turn at least, however many come.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P")
Places = OrderedDict[P, int]
"""Places of one destination, and how many calls each would like to start."""


@dataclass(slots=True)
class _Turns(Generic[P]):
    """The destinations of one kind: which came since they last had a turn, and which wait for another."""

    new: OrderedDict[str, Places[P]] = field(default_factory=OrderedDict)
    waiting: OrderedDict[str, Places[P]] = field(default_factory=OrderedDict)
    last: str = ""
    last_was_new: bool = False

    def of(self, destination_id: str) -> Places[P] | None:
        return self.new.get(destination_id) or self.waiting.get(destination_id)

    def drop(self, destination_id: str) -> None:
        self.new.pop(destination_id, None)
        self.waiting.pop(destination_id, None)

    def next(self) -> P | None:
        if not self:
            return None
        takes_new = bool(self.new) and (
            not self.waiting or not self.last_was_new or next(iter(self.waiting)) == self.last
        )
        self.last, places = (self.new if takes_new else self.waiting).popitem(last=False)
        self.last_was_new = takes_new
        place, count = places.popitem(last=False)
        if count > 1:
            places[place] = count - 1
        if places:
            self.waiting[self.last] = places
        return place

    def all(self) -> Iterator[Places[P]]:
        yield from self.new.values()
        yield from self.waiting.values()

    def __bool__(self) -> bool:
        return bool(self.new or self.waiting)


@dataclass(slots=True)
class Line(Generic[P]):
    """Places (lanes at work) that would like to start calls."""

    _live: _Turns[P] = field(default_factory=_Turns)
    _backfill: _Turns[P] = field(default_factory=_Turns)

    def want(self, place: P, destination_id: str, count: int, *, backfill: bool) -> None:
        """Set what a place would like; 0 takes it out of the line."""
        for turns, wants_backfill in ((self._live, False), (self._backfill, True)):
            places = turns.of(destination_id)
            if count > 0 and wants_backfill == backfill:
                if places is None:
                    places = turns.new[destination_id] = OrderedDict()
                places[place] = count
            elif places is not None:
                places.pop(place, None)
                if not places:
                    turns.drop(destination_id)

    def next(self) -> P | None:
        """Whose turn it is; it wants one less and goes to the end. None when nobody wants anything."""
        return self._live.next() if self._live else self._backfill.next()

    def waits(self, destination_id: str) -> bool:
        """Whether anybody would like to start a live call of this destination."""
        return self._live.of(destination_id) is not None

    @property
    def live(self) -> int:
        """Calls that would be made, live ones."""
        return sum(sum(places.values()) for places in self._live.all())

    @property
    def backfill(self) -> int:
        return sum(sum(places.values()) for places in self._backfill.all())

    def places(self) -> list[P]:
        """All that wait."""
        return [place for turns in (self._live, self._backfill) for places in turns.all() for place in places]

    def __bool__(self) -> bool:
        return bool(self._live or self._backfill)
