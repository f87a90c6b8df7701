"""Waiting for gates: one that has something to report asks again and again while its Redis is away, and leaves connections open."""

from __future__ import annotations

import time

from app.pacing.gates import Gates


def wait_until_they_rest(*processes: Gates) -> None:
    """Until no gate of these processes has anything to ask: soon after it is closed, else after a while without calls."""
    deadline = time.monotonic() + 30
    while any(gate._asking for process in processes for _, gate in process._gates.values()):
        assert time.monotonic() < deadline, "a gate does not come to its end"
        time.sleep(0.01)
