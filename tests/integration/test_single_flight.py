"""What many lanes ask for at about the same time is found once."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.delivery.single_flight import SingleFlight
from app.event_loop import EVENT_LOOP


class Source:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False

    def find(self, name: str) -> int:
        self.asked.append(name)
        if self.broken:
            raise LookupError(name)
        return len(self.asked)


def test_is_asked_once_for_each_name_and_what_it_is_of() -> None:
    source, flights = Source(), SingleFlight[int](60.0)

    async def ask() -> list[int]:
        names = [("a", 1), ("a", 1), ("b", 1), ("a", 1), ("a", 2), ("a", 2)]
        return [await flights.get(name, of, source.find, name) for name, of in names]

    assert EVENT_LOOP.run(ask()) == [1, 1, 2, 1, 3, 3]
    assert source.asked == ["a", "b", "a"]


def test_who_asks_meanwhile_waits_for_the_same_answer() -> None:
    asked: list[float] = []
    flights = SingleFlight[float](60.0)

    def find() -> float:
        asked.append(time.monotonic())
        time.sleep(0.05)  # it is what an answer takes
        return asked[-1]

    async def ask() -> list[float]:
        return await asyncio.gather(*(flights.get("a", None, find) for _ in range(5)))

    assert len(set(EVENT_LOOP.run(ask()))) == len(asked) == 1


def test_an_answer_grows_old_and_an_error_at_once() -> None:
    source, flights = Source(), SingleFlight[int](0.05)
    assert EVENT_LOOP.run(flights.get("a", None, source.find, "a")) == 1
    deadline = time.monotonic() + 10
    while EVENT_LOOP.run(flights.get("a", None, source.find, "a")) == 1:
        assert time.monotonic() < deadline
    kept, source.broken = SingleFlight[int](60.0), True
    with pytest.raises(LookupError):
        EVENT_LOOP.run(kept.get("a", None, source.find, "a"))
    source.broken = False
    assert EVENT_LOOP.run(kept.get("a", None, source.find, "a")) > 1
