"""Counts since a destination was connected, which only grow: ended runs folded into one hash, plus the runs since.

Settling adds only to the run of its hour; the sweep folds a run once its hour is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.keys import RUN_LIFE_SECONDS, DestinationKeys
from app.lua import script
from app.moments import hour_of
from app.reporting.histograms import together
from app.reporting.runs import decode_counts

if TYPE_CHECKING:
    from redis import Redis

LATE_SECONDS = 300  # how long after its end something may still be added to a run
_BEGINNING_HOURS = 2  # before the first fold, older runs are not counted
_HOURS_AT_ONCE = 48


def fold_runs(redis: Redis, destination_id: str, now_ms: int) -> int:
    """Fold the runs that have ended, a bounded number of them; returns how many."""
    keys = DestinationKeys(destination_id)
    ended = _growing(now_ms)
    raw: Any = redis.hget(keys.totals, "folded")
    first = int(raw) if raw else ended - _BEGINNING_HOURS
    fold = script(redis, "app.reporting", "fold")
    folded = 0
    for hour in range(first, min(ended, first + _HOURS_AT_ONCE)):
        folded += fold(keys=[keys.epoch, keys.totals, keys.run(hour)], args=[hour, first])
    return folded


def _growing(now_ms: int) -> int:
    """Return the first hour that may still grow."""
    return hour_of(now_ms - LATE_SECONDS * 1000)


def read_totals(redis: Redis, destination_id: str, now_ms: int) -> dict[str, int]:
    """Return counts by field; fields as in a run, reasons by code alone. Only reads, for callers that may do no more."""
    keys = DestinationKeys(destination_id)
    hour, beginning = hour_of(now_ms), _growing(now_ms) - _BEGINNING_HOURS
    while True:
        totals: Any = redis.hgetall(keys.totals)
        first = int(totals.pop(b"folded", beginning))
        with redis.pipeline(transaction=False) as pipeline:
            for number in range(max(first, hour - RUN_LIFE_SECONDS // 3600), hour + 1):
                pipeline.hgetall(keys.run(number))
            pipeline.hget(keys.totals, "folded")
            *runs, after = pipeline.execute()
        if int(after or beginning) == first:  # else a run was folded between the two reads
            return _by_code(together(decode_counts(raw) for raw in (totals, *runs)))


def _by_code(counts: dict[str, int]) -> dict[str, int]:
    return together({name.partition("|")[0]: count} for name, count in counts.items())
