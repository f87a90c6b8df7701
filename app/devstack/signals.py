"""Signals that tell a command to end: Ctrl-C, TERM, and HUP, which comes when the terminal is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handling(numbers: tuple[signal.Signals, ...], handle: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Handle the signals with `handle` within the block.

    HUP stays ignored under nohup; outside the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, handle)
        for number in numbers
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Make TERM and HUP raise `SystemExit(128 + number)`.

    By default they would end the process and leave its children running.
    """
    with handling((signal.SIGTERM, signal.SIGHUP), _end):
        yield


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def serving() -> Iterator[None]:
    """Treat HUP as TERM, for servers that shut down in order only on TERM; being told to stop is no failure."""
    try:
        with handling((signal.SIGHUP,), lambda *_: signal.raise_signal(signal.SIGTERM)):
            yield
    except SystemExit as end:
        if end.code != 128 + signal.SIGTERM:
            raise


@contextmanager
def until_told_to_stop() -> Iterator[list[int]]:
    """Yield a list that stays empty until one of the signals arrives."""
    told: list[int] = []
    with handling(ENDING, lambda number, _: told.append(number)):
        yield told


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold signals that arrive within the block until its end."""
    held: list[int] = []
    try:
        with handling(ENDING, lambda number, _: held.append(number)):
            yield
    finally:
        if held:
            signal.raise_signal(signal.Signals(held[0]))
