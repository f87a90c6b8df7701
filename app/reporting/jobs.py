"""One job's counts: every profile of it is pending or has exactly one outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.errors import UsageError
from app.keys import DESTINATIONS, JOB_LIFE_SECONDS, DestinationKeys
from app.reporting.runs import OUTCOMES

if TYPE_CHECKING:
    from redis import Redis

WORDS = (b"source", b"load", b"loaded")  # fields of a job that are no counts


@dataclass(frozen=True, slots=True)
class Job:
    """`reasons` maps the code of an exclusion or failure to its count."""

    id: str
    destinations: tuple[str, ...]
    received: int
    outcomes: dict[str, int]
    reasons: dict[str, int]

    @property
    def pending(self) -> int:
        return self.received - sum(self.outcomes.values())


def read_job(redis: Redis, job_id: str) -> Job:
    """Raises `UsageError` when no such job is known (any more)."""
    members: Any = redis.smembers(DESTINATIONS)
    ids = sorted(member.decode() for member in members)
    with redis.pipeline(transaction=False) as pipeline:
        for destination_id in ids:
            pipeline.hgetall(DestinationKeys(destination_id).job(job_id))
        found: list[Any] = pipeline.execute()
    destinations = tuple(destination_id for destination_id, raw in zip(ids, found, strict=True) if raw)
    if not destinations:
        raise UsageError(
            f"No job {job_id!r} is known.",
            remedy=f"Jobs are kept for {JOB_LIFE_SECONDS // 86_400} days; `activation enqueue` prints the id of each.",
        )
    counts: dict[str, int] = {}
    for raw in found:
        for key, value in raw.items():
            if key not in WORDS:
                counts[key.decode()] = counts.get(key.decode(), 0) + int(value)
    return Job(
        id=job_id,
        destinations=destinations,
        received=counts.get("received", 0),
        outcomes={outcome: counts.get(outcome, 0) for outcome in OUTCOMES},
        reasons={key.removeprefix("why:"): count for key, count in counts.items() if key.startswith("why:")},
    )
