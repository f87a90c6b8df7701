"""Entries that no key opens: they stop their destination, until an operator says that the key will not come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.keys import LOCKED_LIFE_SECONDS, DestinationKeys
from app.lua import write

if TYPE_CHECKING:
    from redis import Redis


def note_locked_aside(redis: Redis, destination_id: str, *, now_ms: int) -> None:
    """From now on, for a day, entries from before this moment that no key opens become failures."""
    keys = DestinationKeys(destination_id)
    write(redis, ("SET", keys.locked, now_ms, "EX", LOCKED_LIFE_SECONDS), keys=[keys.locked], only_with=keys.epoch)


def are_set_aside(redis: Redis, destination_id: str, entry_id: bytes) -> bool:
    """Whether such an entry of a lane is to become a failure."""
    before_ms: Any = redis.get(DestinationKeys(destination_id).locked)
    return before_ms is not None and int(entry_id.split(b"-")[0]) < int(before_ms)
