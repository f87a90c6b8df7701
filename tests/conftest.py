"""How hypothesis works here, which signals hold, in which order tests run, and which run alone."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


# Where tests run in the background or under nohup these are ignored, by each process that a test starts as well.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


class _Turns:
    """The processes of xdist run tests side by side, but for those marked `alone`: each of them waits until no other test runs.

    Who waits to be alone holds up those that come later, so that its time comes.
    """

    def __init__(self) -> None:
        self._queue = os.open(__file__, os.O_RDONLY)
        self._running = os.open(Path(__file__).parent, os.O_RDONLY)
        self._is_alone = False

    def begin(self, item: pytest.Item) -> None:
        alone = _runs_alone(item)
        if not (alone and self._is_alone):
            fcntl.flock(self._queue, fcntl.LOCK_EX)
            fcntl.flock(self._running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            fcntl.flock(self._queue, fcntl.LOCK_UN)
            self._is_alone = alone

    def end(self, next_item: pytest.Item | None) -> None:
        if not (self._is_alone and next_item is not None and _runs_alone(next_item)):
            fcntl.flock(self._running, fcntl.LOCK_UN)
            self._is_alone = False


_TURNS = _Turns()


def _runs_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the time of pytest-timeout begins
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    _TURNS.begin(item)
    try:
        return (yield)
    finally:
        _TURNS.end(nextitem)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First those that run alone, one after another, then whole pipelines: what takes a minute must not be left to one process of
    xdist while the others have nothing to do.
    """
    items.sort(key=lambda item: (not _runs_alone(item), "system" not in item.path.parts))
