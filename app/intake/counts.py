"""The intake's counters: gathered in each process, added up in Redis about once a second."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from app.keys import INTAKE_COUNTS

if TYPE_CHECKING:
    from redis import Redis

NOBODY = "-"  # the source of requests whose sender is not known
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0)  # upper bounds of answer times


class Counts:
    """The counts of one process. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pending: Counter[str] = Counter()
        self._seen: set[str] = set()

    def answered(self, source: str, status: int, seconds: float, *, accepted: int = 0, excluded: int = 0) -> None:
        """Count one answered request to a destination's profiles."""
        bound = next((str(bound) for bound in SECONDS if seconds <= bound), "+Inf")
        with self._lock:
            pending = self._pending
            pending[f"answers|{source}|{status}"] += 1
            pending[f"took|{bound}"] += 1
            if accepted:
                pending[f"profiles|{source}|accepted"] += accepted
            if excluded:
                pending[f"profiles|{source}|excluded"] += excluded
            if source != NOBODY:
                self._seen.add(source)

    def flush(self, redis: Redis, now_ms: int) -> None:
        """Add the counts to those in Redis, and mark the sources heard since the last flush as seen now.

        Raises: redis-py's errors; the counts are then kept for the next flush.
        """
        with self._lock:
            pending, seen = self._pending, self._seen
            self._pending, self._seen = Counter(), set()
        if not pending:
            return
        try:
            with redis.pipeline(transaction=False) as pipeline:
                for name, count in pending.items():
                    pipeline.hincrby(INTAKE_COUNTS, name, count)
                for source in seen:
                    pipeline.hset(INTAKE_COUNTS, f"seen|{source}", now_ms)
                pipeline.execute()
        except BaseException:
            with self._lock:
                self._pending.update(pending)
                self._seen |= seen
            raise


@dataclass(slots=True)
class SourceCounts:
    """The counts of one source since it was first heard of."""

    answers: dict[int, int] = field(default_factory=dict)
    accepted: int = 0
    excluded: int = 0
    seen_ms: int = 0


@dataclass(slots=True)
class Counted:
    """All counts: by source, and how many answers took how long (by upper bound in seconds)."""

    sources: dict[str, SourceCounts] = field(default_factory=dict)
    took: dict[str, int] = field(default_factory=dict)


def read_counts(redis: Redis) -> Counted:
    raw: Any = redis.hgetall(INTAKE_COUNTS)
    counted = Counted()
    for name, value in raw.items():
        kind, *rest = name.decode().split("|")
        if kind == "took":
            counted.took[rest[0]] = int(value)
            continue
        source = counted.sources.setdefault(rest[0], SourceCounts())
        match kind:
            case "answers":
                source.answers[int(rest[1])] = int(value)
            case "profiles":
                setattr(source, rest[1], int(value))
            case "seen":
                source.seen_ms = int(value)
    return counted
