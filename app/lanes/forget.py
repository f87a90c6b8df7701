"""Forgetting what was delivered to a destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.keys import LANES, DestinationKeys

if TYPE_CHECKING:
    from redis import Redis


def forget_delivered(redis: Redis, destination_id: str) -> int:
    """Drop the delivered state of every contact; returns of how many. Versions go with it: an old update may be sent again."""
    keys = DestinationKeys(destination_id)
    with redis.pipeline(transaction=False) as pipeline:
        for lane in range(LANES):
            pipeline.hlen(keys.lane(lane).delivered)
            pipeline.unlink(keys.lane(lane).delivered)
        replies: list[int] = pipeline.execute()
    return sum(replies[0::2])
