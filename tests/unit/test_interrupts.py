"""Ctrl-C is taken while a record is read or between two of them, and not while one is worked on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator

import pytest

from app.cli.interrupts import Interrupts


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_is_worked_on_is_brought_to_its_end(signal_number: int) -> None:
    done = []

    def work(records: Iterable[int]) -> None:
        for number in records:
            if number == 2:
                interrupt(signal_number)
            done.append(number)

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        work(interrupts.between(range(5)))
    assert (done, interrupts.number) == ([0, 1, 2], signal_number)


def test_what_is_read_ends_at_once() -> None:
    def records() -> Iterator[int]:
        yield 0
        interrupt()
        pytest.fail("went on")

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        list(interrupts.between(records()))


def test_the_second_one_ends_what_is_worked_on() -> None:
    def work(records: Iterable[int]) -> None:
        for _ in records:
            interrupt()
            interrupt()
            pytest.fail("went on")

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        work(interrupts.between(range(5)))


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_comes_after_the_last_record_is_not_lost(signal_number: int) -> None:
    taken: list[int] = []
    before = signal.signal(signal_number, lambda number, _: taken.append(number))
    try:
        with Interrupts() as interrupts:
            assert list(interrupts.between(range(3))) == [0, 1, 2]
            interrupt(signal_number)
            assert taken == []
        assert taken == [signal_number]
    finally:
        signal.signal(signal_number, before)


def test_what_held_before_holds_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        assert list(interrupts.between(range(3))) == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is before
