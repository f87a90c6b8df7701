"""How hypothesis works here, which signals hold, in which order tests run, and which run alone."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Generator
from itertools import islice
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
    """The processes of xdist run tests side by side, but those marked `alone` only beside one another: they take little of the
    machine, and measure what the others' load would change.

    Who waits for the other kind to end holds up all that come later, so that its time comes.
    """

    def __init__(self) -> None:
        here = Path(__file__)
        self._queue = os.open(here, os.O_RDONLY)
        self._running = {False: os.open(here.parent, os.O_RDONLY), True: os.open(here.parent / "unit", os.O_RDONLY)}

    def begin(self, item: pytest.Item) -> None:
        alone = _runs_alone(item)
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        fcntl.flock(self._running[not alone], fcntl.LOCK_EX)
        fcntl.flock(self._running[alone], fcntl.LOCK_SH)
        fcntl.flock(self._running[not alone], fcntl.LOCK_UN)
        fcntl.flock(self._queue, fcntl.LOCK_UN)

    def end(self, item: pytest.Item) -> None:
        fcntl.flock(self._running[_runs_alone(item)], fcntl.LOCK_UN)


_TURNS = _Turns()


def _runs_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the time of pytest-timeout begins
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    _TURNS.begin(item)
    try:
        return (yield)
    finally:
        _TURNS.end(item)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each process of xdist begins with its share of those that run alone, then of whole pipelines: what takes a minute must not
    be left to one of them while the others have nothing to do, or wait.

    `--dist worksteal` gives each of them as many tests as the others, in the order in which they stand here.
    """
    first = sorted((item for item in items if _is_long(item)), key=_runs_alone, reverse=True)
    rest = iter([item for item in items if not _is_long(item)])
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    each = len(items) // processes
    shares = [first[number::processes] for number in range(processes)]
    items[:] = [item for share in shares for item in (*share, *islice(rest, max(0, each - len(share))))]
    items += rest


def _is_long(item: pytest.Item) -> bool:
    return _runs_alone(item) or "system" in item.path.parts
