"""Whether what waits at a destination that nobody answers for is given up: tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.delivery.giving_up import is_due
from app.destinations.state import State, Status
from app.settings import Settings

SETTINGS = replace(Settings.from_env(), retry_window_seconds=3_600, retry_minimum=8)
NOW_MS = 1_000_000_000
HOUR_MS = 3_600_000
AWAY = State(status=Status.DEGRADED, since_ms=NOW_MS - HOUR_MS, tries=8)


@pytest.mark.parametrize(
    ("state", "due"),
    [
        (AWAY, True),
        (replace(AWAY, since_ms=NOW_MS - HOUR_MS + 1), False),
        (replace(AWAY, tries=7), False),
        (replace(AWAY, status=Status.STOPPED), False),  # someone has to act, however long that takes
        (replace(AWAY, status=Status.PAUSED), False),
        (replace(AWAY, status=Status.ENABLED), False),
    ],
)
def test_when_old_entries_are_given_up(state: State, due: bool) -> None:
    assert is_due(state, NOW_MS, SETTINGS) is due
