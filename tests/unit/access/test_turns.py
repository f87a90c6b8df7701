"""Of what takes much, no more at once than there is room for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier, Event

import pytest

from app.access.turns import TooBusy, Turns


def test_one_more_than_there_are_turns_is_refused_and_comes_in_when_one_ends() -> None:
    turns = Turns(2, waiting=8, seconds=0.01)
    with ExitStack() as taken:
        taken.enter_context(turns.one())
        with turns.one(), pytest.raises(TooBusy), turns.one():
            pytest.fail("a third had a turn")
        with turns.one():
            pass


def test_a_turn_ends_with_an_error_too() -> None:
    turns = Turns(1, waiting=0, seconds=0.01)
    for _ in range(2):
        with pytest.raises(ValueError, match="wrong"), turns.one():
            raise ValueError("wrong")


def test_who_waits_has_the_next_turn_and_more_do_not_wait() -> None:
    turns, taken, end = Turns(1, waiting=1, seconds=60), Event(), Event()
    met = Barrier(2, timeout=10)

    def take() -> None:
        with turns.one():
            taken.set()
            assert end.wait(10)

    def wait() -> bool:
        met.wait()
        with turns.one():
            return True

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(take)
        assert taken.wait(10)
        second = threads.submit(wait)
        met.wait()
        while turns._places._value:  # until the second has its place
            pass
        with pytest.raises(TooBusy), turns.one():
            pytest.fail("it did not wait")
        end.set()
        first.result(10)
        assert second.result(10)
