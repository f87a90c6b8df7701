"""How long the oldest profile of a destination has waited, by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.keys import LANES, DestinationKeys
from app.lanes.entries import read_fields

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class OldestWaiting:
    """Seconds since the oldest waiting profile of each kind was enqueued; None where none waits."""

    live: float | None
    backfill: float | None
    parked: float | None


def oldest_waiting_age_seconds(redis: Redis, destination_id: str, *, live_only: bool = False) -> OldestWaiting:
    """By when it was enqueued, which a profile keeps through parking and moving. Plain reads; a third of them with `live_only`."""
    keys = DestinationKeys(destination_id)
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for number in range(LANES):
            lane = keys.lane(number)
            for stream in (lane.live,) if live_only else (lane.live, lane.backfill, lane.parked):
                pipeline.xrange(stream, count=1)
        (seconds, micros), *firsts = pipeline.execute()
    now_ms = seconds * 1000 + micros // 1000
    kinds = 1 if live_only else 3
    enqueued = [_enqueued_ms(firsts[kind::kinds]) if kind < kinds else [] for kind in range(3)]
    oldest = [min(times, default=None) for times in enqueued]
    return OldestWaiting(*(None if at_ms is None else max(0.0, (now_ms - at_ms) / 1000) for at_ms in oldest))


def _enqueued_ms(firsts: Sequence[Any]) -> list[int]:
    """When the first entry of each stream was enqueued."""
    return [read_fields(*entry, backfill=False).enqueued_ms for first in firsts for entry in first]
