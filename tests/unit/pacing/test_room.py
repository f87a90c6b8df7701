"""Whose turn it is in a process that is full."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pacing.room import Room


@dataclass(eq=False)
class Gate:
    """Begins a call whenever it is asked and has a place, as long as it would make `more`."""

    room: Room
    more: int
    in_flight: int = 0
    is_due: bool = True

    def hand_out(self) -> None:
        while self.more and self.is_due and self.room.has_slot(self):
            self.room.take()
            self.in_flight += 1
            self.more -= 1
        if self.more:
            self.room.come(self)
            self.room.wait(self)
        else:
            self.room.leave(self)

    def end_call(self) -> None:
        self.in_flight -= 1
        self.room.give_back(self)


def test_all_of_it_is_for_one_that_is_alone() -> None:
    gate = Gate(Room(8), more=50)
    gate.hand_out()
    assert (gate.in_flight, gate.room.free) == (8, 0)
    gate.end_call()
    assert (gate.in_flight, gate.room.free) == (8, 0)


def test_what_comes_free_goes_to_who_has_the_fewest_calls_until_all_have_as_many() -> None:
    room = Room(9)
    slow, quick = Gate(room, more=500), Gate(room, more=500)
    slow.hand_out()
    quick.hand_out()
    assert (slow.in_flight, quick.in_flight) == (9, 0)
    for number in range(1, 5):
        slow.end_call()
        assert (slow.in_flight, quick.in_flight, room.free) == (9 - number, number, 0)
    for _ in range(50):
        quick.end_call()
    assert quick.in_flight == 4, "its own places come back to it"
    assert slow.in_flight == 5


def test_a_place_is_left_to_one_whose_start_has_not_come_yet() -> None:
    room = Room(9)
    slow, quick = Gate(room, more=500), Gate(room, more=500)
    slow.hand_out()
    quick.is_due = False
    quick.hand_out()
    slow.end_call()
    assert (slow.in_flight, room.free) == (8, 1)
    quick.is_due = True
    quick.hand_out()
    assert (quick.in_flight, room.free) == (1, 0)


@pytest.mark.parametrize(
    ("own", "others", "free", "has_slot"),
    [
        (4, [], 1, True),
        (4, [4, 5], 1, True),
        (4, [3], 1, True),  # one less is not fewer: it would go to and fro
        (4, [2], 1, False),
        (4, [2], 2, True),
        (4, [2, 0, 4], 2, False),
        (0, [0, 0], 1, True),
        (0, [], 0, False),
    ],
)
def test_a_slot_is_left_to_each_that_has_fewer(own: int, others: list[int], free: int, has_slot: bool) -> None:
    room = Room(own + sum(others) + free)
    gate, *_ = gates = [Gate(room, more=0, in_flight=count) for count in (own, *others)]
    for one in gates:
        room.come(one)
        for _ in range(one.in_flight):
            room.take()
    assert room.has_slot(gate) is has_slot


def test_who_would_make_no_call_is_left_none() -> None:
    room = Room(9)
    slow, other = Gate(room, more=500), Gate(room, more=1)
    slow.hand_out()
    other.is_due = False
    other.hand_out()
    room.leave(other)
    slow.end_call()
    assert (slow.in_flight, room.free) == (9, 0)


def test_more_gates_than_places_have_them_in_turn() -> None:
    room = Room(3)
    gates = [Gate(room, more=100) for _ in range(10)]
    for gate in gates:
        gate.hand_out()
    for number in range(500):
        if gates[number % 10].in_flight:
            gates[number % 10].end_call()
    made = [100 - gate.more for gate in gates]
    assert max(made) - min(made) <= 2
    assert room.free == 0


@given(
    st.integers(1, 6), st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["begin", "end", "wait"])), max_size=60)
)
def test_never_more_calls_than_slots_and_none_is_lost(size: int, steps: list[tuple[int, str]]) -> None:
    room = Room(size)
    gates = [Gate(room, more=20) for _ in range(5)]
    for number, step in steps:
        gate = gates[number]
        gate.is_due = step != "wait"
        if step == "end" and gate.in_flight:
            gate.end_call()
        else:
            gate.hand_out()
        assert 0 <= room.free == size - sum(gate.in_flight for gate in gates)
        assert room.used_share == 1 - room.free / size
    for gate in gates:
        gate.is_due = True
        gate.hand_out()
    while busy := [gate for gate in gates if gate.in_flight]:
        busy[0].end_call()
    assert not any(gate.more for gate in gates), "and nobody waits for ever"
