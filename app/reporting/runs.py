"""Hourly runs of a destination: what came in, what became of it, and at what price in calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.keys import LANES, DestinationKeys
from app.lanes import counters
from app.lanes.outcomes import Outcome

if TYPE_CHECKING:
    from redis import Redis

OUTCOMES = tuple(str(outcome) for outcome in Outcome)


@dataclass(frozen=True, slots=True)
class Run:
    """One hour (epoch hours). `outcomes` are counted in the hour in which they were settled, `received` when they came.

    `segments` is segment id -> status -> deliveries; `reasons` maps a code (and where it struck) to a count. `left_out` counts
    values that could not be written while the rest of their profile was, by field and reason;
    `answers` are calls by what they came to, `matched` delivered profiles by each field that they had a value for.
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
    def activation_rate(self) -> float | None:
        """Share of what was settled that is now in Marketing Cloud as it should be: neither failed nor excluded; None without any.

        Platform's own monitoring counts what was excluded as activated; there, a run of nothing but exclusions shows 100 %.
        """
        settled = sum(self.outcomes.values())
        return None if not settled else 1 - (self.outcomes["failed"] + self.outcomes["excluded"]) / settled


def read_runs(redis: Redis, destination_id: str, *, hours: int = 24) -> list[Run]:
    """The runs of the last hours that had anything to do, newest first."""
    return [run_of(hour, counts) for hour, counts in read_counts(redis, destination_id, hours=hours)]


def read_counts(redis: Redis, destination_id: str, *, hours: int = 24) -> list[tuple[int, dict[str, int]]]:
    """All that was counted in the last hours that had anything to do, newest first: (epoch hours, name -> count)."""
    keys = DestinationKeys(destination_id)
    reply: Any = redis.time()
    numbers = range(reply[0] // 3600, reply[0] // 3600 - hours, -1)
    with redis.pipeline(transaction=False) as pipeline:
        for hour in numbers:
            pipeline.hgetall(keys.run(hour))
        raws: list[Any] = pipeline.execute()
    return [(hour, decode_counts(raw)) for hour, raw in zip(numbers, raws, strict=True) if raw]


def decode_counts(raw: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in raw.items()}


def run_of(hour: int, counts: Mapping[str, int]) -> Run:
    """The run of an hour, from what was counted in it."""
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
