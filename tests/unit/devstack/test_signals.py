"""Signals that tell a command to end are taken when it is in order to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from threading import Thread

import pytest

from app.devstack.signals import ENDING, ending_in_order, serving, uninterrupted, until_told_to_stop


@pytest.fixture(autouse=True)
def _same_handlers_afterwards() -> Iterator[None]:
    before = [signal.getsignal(number) for number in ENDING]
    yield
    assert [signal.getsignal(number) for number in ENDING] == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_and_what_it_began(number: signal.Signals) -> None:
    ended = []

    def run() -> None:
        with ending_in_order():
            try:
                signal.raise_signal(number)
                pytest.fail("went on")
            finally:
                ended.append(True)

    with pytest.raises(SystemExit) as exit_:
        run()
    assert (exit_.value.code, ended) == (128 + number, [True])


@pytest.mark.parametrize("number", ENDING)
def test_until_told_to_stop(number: signal.Signals) -> None:
    with until_told_to_stop() as told:
        assert told == []
        signal.raise_signal(number)
        assert told == [number]


@pytest.mark.parametrize("number", ENDING)
def test_what_arrives_within_is_taken_at_the_end(number: signal.Signals) -> None:
    with until_told_to_stop() as told:
        with uninterrupted():
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert told == []
        assert told == [number]


def test_what_arrives_within_is_not_lost_where_the_block_fails() -> None:
    def fail() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            raise LookupError

    with until_told_to_stop() as told:
        with pytest.raises(LookupError):
            fail()
        assert told == [signal.SIGTERM]


@pytest.mark.parametrize(("code", "fails"), [(128 + signal.SIGTERM, False), (3, True)])
def test_a_server_that_is_told_to_stop_has_not_failed(code: int, fails: bool) -> None:
    def serve() -> None:
        with serving():
            raise SystemExit(code)

    if fails:
        with pytest.raises(SystemExit):
            serve()
    else:
        serve()


def test_a_second_ctrl_c_does_not_end_what_is_uninterrupted() -> None:
    ended = []

    def run() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            with uninterrupted():
                signal.raise_signal(signal.SIGINT)
                ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert ended == [True]


def test_hup_stays_ignored() -> None:
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_in_order(), until_told_to_stop() as told, uninterrupted():
            signal.raise_signal(signal.SIGHUP)
        assert told == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_of_the_main_thread_nothing_changes() -> None:
    found = []

    def run() -> None:
        with ending_in_order(), uninterrupted(), until_told_to_stop() as told:
            found.append(told)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert found == [[]]
