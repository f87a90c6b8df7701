"""Entries that no key opens: they stop their destination until an operator says that the key will not come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.keys import LOCKED_LIFE_SECONDS, DestinationKeys
from app.lua import write

if TYPE_CHECKING:
    from redis import Redis


def note_locked_aside(redis: Redis, destination_id: str, *, now_ms: int) -> None:
    """For a day from now on, turn entries that no key opens into failures if they were enqueued before this moment."""
    keys = DestinationKeys(destination_id)
    write(redis, ("SET", keys.locked, now_ms, "EX", LOCKED_LIFE_SECONDS), keys=[keys.locked], only_with=keys.epoch)


def read_locked_aside_ms(redis: Redis, destination_id: str) -> int:
    """Return the moment before which such entries must have been enqueued to become failures; 0 if none do."""
    before_ms: Any = redis.get(DestinationKeys(destination_id).locked)
    return int(before_ms or 0)
