"""Forgetting what was delivered to a destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.keys import DestinationKeys

if TYPE_CHECKING:
    from redis import Redis


def count_delivered(redis: Redis, destination_id: str) -> int:
    """Of how many contacts it is known what was delivered."""
    keys = redis.scan_iter(match=DestinationKeys(destination_id).every_lane.delivered("*"), count=1000)
    return sum(int(redis.hlen(key)) for key in keys)


def forget_delivered(redis: Redis, destination_id: str) -> int:
    """Drop the delivered state of every contact; returns of how many. Versions go with it: an old update may be sent again."""
    contacts = 0
    for key in redis.scan_iter(match=DestinationKeys(destination_id).every_lane.delivered("*"), count=1000):
        contacts += int(redis.hlen(key))
        redis.unlink(key)
    return contacts
