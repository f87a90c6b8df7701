"""How hypothesis works here, which signals hold, and in which order tests run."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


# Where tests run in the background or under nohup these are ignored, by each process that a test starts as well.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole pipelines first: one that takes a minute must not be left to one process of xdist while the other has nothing to do."""
    items.sort(key=lambda item: "system" not in item.path.parts)
