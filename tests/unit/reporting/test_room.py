"""Whether Redis takes profiles: the same bound as that of the append, and a master, or a replica that may be written to."""

from __future__ import annotations

import pytest

from app.reporting.room import refusal_of

ROOM = {"used_memory": 900, "maxmemory": 1_000, "role": "master"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"used_memory": 901}, "Redis is full"),
        ({"used_memory": 901, "mem_not_counted_for_evict": 1}, ""),
        ({"used_memory": 901, "maxmemory": 0}, ""),
        ({"role": "slave", "slave_read_only": 1}, "read-only replica"),
        ({"role": "slave", "slave_read_only": 0}, ""),
        ({"role": "slave", "slave_read_only": 1, "used_memory": 901}, "read-only replica"),
    ],
)
def test_what_keeps_redis_from_taking_profiles(changes, told):
    refused = refusal_of(ROOM | changes)
    assert (refused is not None) is bool(told)
    assert told in str(refused or "")
