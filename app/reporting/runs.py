"""Hourly runs of a destination: what came in, what became of it, and how many calls it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.keys import LANES, DestinationKeys
from app.lanes import counters
from app.lanes.outcomes import Outcome
from app.moments import hour_of, start_of_hour_ms

if TYPE_CHECKING:
    from redis import Redis

OUTCOMES = tuple(str(outcome) for outcome in Outcome)


@dataclass(frozen=True, slots=True)
class Run:
    """One hour.

    `hour`: in epoch hours. Profiles count as `received` in the hour they came, in `outcomes` in the hour they were settled.

    `segments`: segment id -> status -> how often it was written. `reasons`: counts by code and place. `left_out`: by field
      and reason, values that could not be written while the rest of their profile was. `answers`: calls by result.
      `matched`: delivered profiles by each field that they had a value for.
    """

    hour: int
    received: int
    outcomes: dict[str, int]
    calls: int
    retried: int
    segments: dict[str, dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    matched: dict[str, int] = field(default_factory=dict)

    @property
    def start_ms(self) -> int:
        return start_of_hour_ms(self.hour)

    @property
    def activation_rate(self) -> float | None:
        """The share of settled profiles that neither failed nor were excluded; None if nothing was settled.

        Adobe Experience Platform's own monitoring counts excluded profiles as activated: there a run of nothing but
        exclusions shows 100 %.
        """
        settled = sum(self.outcomes.values())
        return None if not settled else 1 - (self.outcomes["failed"] + self.outcomes["excluded"]) / settled


def read_runs(redis: Redis, destination_id: str, *, hours: int = 24) -> list[Run]:
    """Return the runs of the last hours that had anything to do, newest first."""
    return [run_of(hour, counts) for hour, counts in read_counts(redis, destination_id, hours=hours)]


def read_counts(redis: Redis, destination_id: str, *, hours: int = 24) -> list[tuple[int, dict[str, int]]]:
    """Return everything counted in the last hours that had anything to do, newest first: (epoch hour, name -> count)."""
    keys = DestinationKeys(destination_id)
    reply: Any = redis.time()
    now_hour = hour_of(reply[0] * 1000)
    numbers = range(now_hour, now_hour - hours, -1)
    with redis.pipeline(transaction=False) as pipeline:
        for hour in numbers:
            pipeline.hgetall(keys.run(hour))
        raws: list[Any] = pipeline.execute()
    return [(hour, decode_counts(raw)) for hour, raw in zip(numbers, raws, strict=True) if raw]


def decode_counts(raw: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in raw.items()}


def run_of(hour: int, counts: Mapping[str, int]) -> Run:
    """Build the run of an hour from its counts."""
    kinds: dict[str, dict[str, int]] = {}
    for name, count in counts.items():
        kind, colon, rest = name.partition(":")
        kinds.setdefault(kind + colon, {})[rest] = count
    segments: dict[str, dict[str, int]] = {}
    for name, count in kinds.get(counters.SEGMENT, {}).items():
        segment, _, status = name.rpartition(":")
        segments.setdefault(segment, {})[status] = count
    return Run(
        hour=hour,
        received=counts.get(counters.RECEIVED, 0),
        outcomes={outcome: counts.get(outcome, 0) for outcome in OUTCOMES},
        calls=counts.get(counters.CALLS, 0),
        retried=counts.get(counters.RETRIED, 0),
        segments=segments,
        reasons=kinds.get(counters.WHY, {}),
        left_out=kinds.get(counters.LEFT_OUT, {}),
        answers=kinds.get(counters.ANSWER, {}),
        matched=kinds.get(counters.MATCHED, {}),
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """Profiles waiting in the lanes of a destination."""

    live: int
    backfill: int
    parked: int

    @property
    def total(self) -> int:
        return self.live + self.backfill + self.parked


def read_backlog(redis: Redis, destination_id: str) -> Backlog:
    keys = DestinationKeys(destination_id)
    with redis.pipeline(transaction=False) as pipeline:
        for lane in range(LANES):
            pipeline.xlen(keys.lane(lane).live)
            pipeline.xlen(keys.lane(lane).backfill)
            pipeline.zcard(keys.lane(lane).later)
        lengths: list[int] = pipeline.execute()
    return Backlog(sum(lengths[0::3]), sum(lengths[1::3]), sum(lengths[2::3]))
