"""Who is next at a gate: live before backfill, destinations in turn, and the lanes of each in turn. Pure.

A destination that has just arrived is next, so that one with little to send is served at once (as in FQ-CoDel, RFC 8290).
Those already waiting get at least every second turn, however many arrive.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

P = TypeVar("P")
IN_A_ROW = 4  # calls of one lane in a row, so that their outcomes are settled together


@dataclass(slots=True)
class _Places(Generic[P]):
    """Places of one destination, and how many calls each would like to start. `last` has just had `in_a_row` turns in a row."""

    wanted: OrderedDict[P, int] = field(default_factory=OrderedDict)
    last: P | None = None
    in_a_row: int = 0

    def next(self) -> P:
        """Give each place a few turns in a row, like the quantum of deficit round robin."""
        place = next(iter(self.wanted))
        self.in_a_row = self.in_a_row + 1 if place is self.last else 1
        self.last = place
        self.wanted[place] -= 1
        if not self.wanted[place]:
            del self.wanted[place]
        elif self.in_a_row >= IN_A_ROW:
            self.wanted.move_to_end(place)
            self.last = None
        return place


@dataclass(slots=True)
class _Turns(Generic[P]):
    """The destinations of one kind: those that have arrived and had no turn yet, and those that wait for another."""

    new: OrderedDict[str, _Places[P]] = field(default_factory=OrderedDict)
    waiting: OrderedDict[str, _Places[P]] = field(default_factory=OrderedDict)
    last: str = ""
    last_was_new: bool = False

    def of(self, destination_id: str) -> _Places[P] | None:
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
        place = places.next()
        if places.wanted:
            self.waiting[self.last] = places
        return place

    def all(self) -> Iterator[OrderedDict[P, int]]:
        for places in chain(self.new.values(), self.waiting.values()):
            yield places.wanted

    def __bool__(self) -> bool:
        return bool(self.new or self.waiting)


@dataclass(slots=True)
class Line(Generic[P]):
    """The places (lanes at work) that would like to start calls."""

    _live: _Turns[P] = field(default_factory=_Turns)
    _backfill: _Turns[P] = field(default_factory=_Turns)

    def want(self, place: P, destination_id: str, count: int, *, backfill: bool) -> None:
        """Set how many calls a place would like to start; 0 takes it out of the line."""
        for turns, wants_backfill in ((self._live, False), (self._backfill, True)):
            places = turns.of(destination_id)
            if count > 0 and wants_backfill == backfill:
                if places is None:
                    places = turns.new[destination_id] = _Places()
                places.wanted[place] = count
            elif places is not None:
                places.wanted.pop(place, None)
                if not places.wanted:
                    turns.drop(destination_id)

    def next(self) -> P | None:
        """Return whose turn it is, which uses up one of its wanted calls; None if nobody wants any."""
        return self._live.next() if self._live else self._backfill.next()

    def waits(self, destination_id: str) -> bool:
        """Return whether a live call of this destination waits."""
        return self._live.of(destination_id) is not None

    @property
    def live(self) -> int:
        """How many live calls wait."""
        return sum(sum(places.values()) for places in self._live.all())

    @property
    def backfill(self) -> int:
        """How many backfill calls wait."""
        return sum(sum(places.values()) for places in self._backfill.all())

    def places(self) -> list[P]:
        """Return all places that wait."""
        return [place for turns in (self._live, self._backfill) for places in turns.all() for place in places]

    def __bool__(self) -> bool:
        return bool(self._live or self._backfill)
