"""How long the oldest profile of a destination has waited, by kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.keys import LANES, DestinationKeys
from app.lanes.entries import Entry, read_fields

if TYPE_CHECKING:
    from redis import Redis

PARKED_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class OldestWaiting:
    """Seconds since the oldest waiting profile of each kind was enqueued; None if none waits.

    A parked profile counts as parked and also as live or backfill.
    """

    live: float | None
    backfill: float | None
    parked: float | None


def oldest_waiting_age_seconds(redis: Redis, destination_id: str) -> OldestWaiting:
    """Return ages by time of enqueueing, which a profile keeps through parking and moving. Only reads.

    Parked profiles are ordered by their last try, so the oldest may be any of them; `PARKED_LOOKED_AT` of each lane are
    examined. If more are parked, the destination as a whole is in trouble.
    """
    keys = DestinationKeys(destination_id)
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for number in range(LANES):
            lane = keys.lane(number)
            pipeline.xrange(lane.live, count=1)
            pipeline.xrange(lane.backfill, count=1)
            pipeline.xrange(lane.parked, count=PARKED_LOOKED_AT)
        (seconds, micros), *found = pipeline.execute()
    now_ms = seconds * 1000 + micros // 1000
    parked = [*_entries(found[2::3], backfill=False)]
    live = [*_entries(found[0::3], backfill=False), *(entry for entry in parked if not entry.origin.backfill)]
    backfill = [*_entries(found[1::3], backfill=True), *(entry for entry in parked if entry.origin.backfill)]
    oldest = [min((entry.enqueued_ms for entry in entries), default=None) for entries in (live, backfill, parked)]
    return OldestWaiting(*(None if at_ms is None else max(0.0, (now_ms - at_ms) / 1000) for at_ms in oldest))


def _entries(replies: Sequence[Any], *, backfill: bool) -> Iterator[Entry]:
    """Yield the entries in these replies."""
    return (read_fields(*entry, backfill=backfill) for reply in replies for entry in reply)
