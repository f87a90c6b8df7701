"""Whose turn it is in a process that is full."""

from __future__ import annotations

from app.pacing.place import Room


def test_those_who_found_it_full_come_in_the_order_of_their_coming() -> None:
    room, turns = Room(0), []

    def first() -> None:
        turns.append("first")
        room.wait(first)  # it would make more calls

    def second() -> None:
        turns.append("second")

    for hand_out in (first, second, first):
        room.wait(hand_out)
    for free in (1, 2, 3):
        room.end_call()
        assert room.free == free
    assert turns == ["first", "second", "first"]
