"""How long the oldest profile of a destination has waited, by kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.keys import LANES, DestinationKeys
from app.lanes.entries import REPLAY_JOB

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class OldestWaiting:
    """Seconds since the oldest waiting profile of each kind was enqueued; None where none waits."""

    live: float | None
    backfill: float | None
    parked: float | None


def oldest_waiting_age_seconds(redis: Redis, destination_id: str, *, live_only: bool = False) -> OldestWaiting:
    """By the stamp of enqueueing, which a profile keeps through parking and moving. Plain reads; a third of them with `live_only`."""
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
    ages = [[_stamp_ms(first) for first in firsts[kind::kinds]] if kind < kinds else [] for kind in range(3)]
    oldest = [min((stamp for stamp in stamps if stamp), default=None) for stamps in ages]
    return OldestWaiting(*(None if stamp is None else max(0.0, (now_ms - stamp) / 1000) for stamp in oldest))


def _stamp_ms(first: Any) -> int | None:
    """When the first entry of a stream was enqueued; None without one. What was replayed, and what no producer wrote, counts from when
    it was appended.
    """
    if not first:
        return None
    entry_id, fields = first[0]
    is_replayed = fields.get(b"j", b"").startswith(REPLAY_JOB.encode())
    stamp = (entry_id if is_replayed else fields.get(b"s", entry_id)).partition(b"-")[0]
    return int(stamp) if stamp.isdigit() else int(entry_id.partition(b"-")[0])
