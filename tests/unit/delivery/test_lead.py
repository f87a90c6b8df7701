"""Who works at the lanes of an account: single moves as a table, and whether processes come to rest with them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.delivery.lead import EVERYBODY, FULL_AT, MOST_CALLS_PER_MINUTE, TAKES_BELOW, Busy, Move, may_be_led, next_move
from app.destinations.model import Limits

IDLE, HALF, FULL = Busy(0, 0, 0), Busy(0.1, TAKES_BELOW, 0.2), Busy(0.1, 0.2, FULL_AT)


@pytest.mark.parametrize(
    ("leader", "busy", "leads", "patient", "move"),
    [
        ("", IDLE, 0, False, Move.TAKE),
        ("", IDLE, 3, False, Move.TAKE),
        ("", IDLE, 1, True, Move.STAY),
        ("", HALF, 0, False, Move.STAY),
        ("other", IDLE, 0, False, Move.HAND_OVER),
        ("other", FULL, 1, True, Move.HAND_OVER),
        ("me", IDLE, 1, False, Move.KEEP),
        ("me", HALF, 1, False, Move.KEEP),
        ("me", FULL, 1, True, Move.KEEP),
        ("me", FULL, 2, False, Move.GIVE_UP),
        ("me", FULL, 1, False, Move.SPREAD),
        (EVERYBODY, IDLE, 0, False, Move.STAY),
        (EVERYBODY, FULL, 1, False, Move.STAY),
    ],
)
def test_moves(leader: str, busy: Busy, leads: int, patient: bool, move: Move) -> None:
    assert next_move(leader, "me", busy, leads=leads, patient=patient) is move


@pytest.mark.parametrize("fullest", ["lanes", "calls", "cpu"])
def test_what_there_is_least_of_counts(fullest: str) -> None:
    assert Busy(**{"lanes": 0.1, "calls": 0.1, "cpu": 0.1, fullest: 0.7}).share == 0.7


def test_an_account_that_is_faster_than_a_process_is_not_led() -> None:
    assert may_be_led(Limits(calls_per_minute=MOST_CALLS_PER_MINUTE))
    assert not may_be_led(Limits(calls_per_minute=MOST_CALLS_PER_MINUTE + 1))


LANES, LANES_AT_ONCE, PATIENCE_STEPS = 16, 64, 3


@dataclass
class Processes:
    """Processes that look once a second, each at the accounts whose lanes it has. `needs` is of what one process can do."""

    count: int
    needs: dict[str, float]
    rng: random.Random
    leader: dict[str, str] = field(default_factory=dict)
    lanes: dict[str, Counter[str]] = field(default_factory=dict)  # account -> process -> lanes
    patient: dict[str, int] = field(default_factory=dict)
    moves: Counter[Move] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.names = [f"p{number}" for number in range(self.count)]
        for account in self.needs:
            self.scatter(account, LANES)

    def scatter(self, account: str, lanes: int) -> None:
        """A wake-up goes to whichever process comes first."""
        self.lanes.setdefault(account, Counter()).update(self.rng.choices(self.names, k=lanes))

    def busy(self, process: str) -> Busy:
        led = [account for account, leader in self.leader.items() if leader == process]
        calls = sum(need * self.lanes[account][process] / LANES for account, need in self.needs.items())
        lanes = sum(self.lanes[account][process] for account in led)
        return Busy(lanes=lanes / LANES_AT_ONCE, calls=min(1.0, calls), cpu=0)

    def step(self) -> None:
        self.patient = {process: left - 1 for process, left in self.patient.items() if left > 1}
        looks = list(product(self.names, self.needs))
        self.rng.shuffle(looks)
        for process, account in looks:
            if self.lanes[account][process]:
                self.look(process, account)

    def look(self, process: str, account: str) -> None:
        leads = sum(leader == process for leader in self.leader.values())
        move = next_move(
            self.leader.get(account, ""), process, self.busy(process), leads=leads, patient=process in self.patient
        )
        self.moves[move] += 1
        if move is Move.TAKE:
            self.leader[account] = process
        elif move is Move.SPREAD:
            self.leader[account] = EVERYBODY
        elif move is Move.GIVE_UP:
            del self.leader[account]
        if move in (Move.TAKE, Move.GIVE_UP, Move.SPREAD):
            self.patient[process] = PATIENCE_STEPS
        if move in (Move.HAND_OVER, Move.GIVE_UP, Move.SPREAD):
            lanes = self.lanes[account].pop(process)
            if move is Move.HAND_OVER:
                self.lanes[account][self.leader[account]] += lanes
            else:
                self.scatter(account, lanes)

    def settle(self) -> Counter[Move]:
        """The moves of 20 s, after 40."""
        for _ in range(40):
            self.step()
        self.moves.clear()
        for _ in range(20):
            self.step()
        return self.moves


@given(
    count=st.integers(1, 5),
    needs=st.lists(st.floats(0.01, 0.4), min_size=1, max_size=12),
    rng=st.randoms(use_true_random=False),
)
def test_processes_with_room_come_to_rest(count: int, needs: list[float], rng: random.Random) -> None:
    """Each account is with one process in the end, or stays where it is; nothing goes to and fro."""
    needs = needs[: 2 * count]
    processes = Processes(count, {f"a{number}": need for number, need in enumerate(needs)}, rng)
    moves = processes.settle()
    assert not moves.keys() - {Move.KEEP, Move.STAY}
    for account, leader in processes.leader.items():
        assert leader == EVERYBODY or processes.lanes[account] == {leader: LANES}


@given(count=st.integers(2, 5), small=st.integers(0, 4), rng=st.randoms(use_true_random=False))
def test_an_account_that_needs_more_is_spread(count: int, small: int, rng: random.Random) -> None:
    needs = {"large": 1.5} | {f"small-{number}": 0.05 for number in range(small)}
    processes = Processes(count, needs, rng)
    moves = processes.settle()
    assert not moves.keys() - {Move.KEEP, Move.STAY}
    assert processes.leader.get("large", EVERYBODY) == EVERYBODY
    assert processes.lanes["large"].total() == LANES
