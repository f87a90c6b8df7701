"""Jobs and their counts: every profile of a job is pending or has exactly one outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from app.errors import UsageError
from app.keys import DESTINATIONS, JOB_LIFE_SECONDS, DestinationKeys
from app.lanes import counters
from app.reporting.runs import OUTCOMES

if TYPE_CHECKING:
    from redis import Redis

WORDS = (b"source", b"load", b"loaded")  # fields of a job that are not counts
JOBS_COMPARED = 1_000  # newest jobs of each destination, compared with an unknown id


@dataclass(frozen=True, slots=True)
class Job:
    """A job.

    `reasons`: counts by code of exclusion or failure. `source`: who began it: cli, python, celery, replay, or
      `intake NAME`.

    `incomplete`: a load of files that has not finished: it is under way or was interrupted. `last_ms`: the time of its last
      profiles; set only by `read_jobs`.
    """

    id: str
    destinations: tuple[str, ...]
    received: int
    outcomes: dict[str, int]
    reasons: dict[str, int]
    source: str = ""
    incomplete: bool = False
    last_ms: int = 0

    @property
    def pending(self) -> int:
        return self.received - sum(self.outcomes.values())


def read_job(redis: Redis, job_id: str) -> Job:
    """Return a job, for all destinations together. Raises: `UsageError` if no such job is known (any more)."""
    ids = _destinations(redis)
    with redis.pipeline(transaction=False) as pipeline:
        for destination_id in ids:
            pipeline.hgetall(DestinationKeys(destination_id).job(job_id))
        found: list[Any] = pipeline.execute()
    destinations = tuple(destination_id for destination_id, raw in zip(ids, found, strict=True) if raw)
    if not destinations:
        raise unknown_job(redis, job_id, ids)
    return _job(job_id, destinations, found)


def read_jobs(redis: Redis, destination_ids: Sequence[str] = (), *, limit: int) -> list[Job]:
    """Return the newest jobs of these destinations (default: all), newest first.

    A job of several destinations appears once for each.
    """
    ids = list(destination_ids) or _destinations(redis)
    with redis.pipeline(transaction=False) as pipeline:
        for destination_id in ids:
            pipeline.zrange(DestinationKeys(destination_id).jobs, 0, limit - 1, desc=True, withscores=True)
        listed: list[Any] = pipeline.execute()
    newest = sorted(
        (
            (int(last_ms), job_id.decode(), destination_id)
            for destination_id, jobs in zip(ids, listed, strict=True)
            for job_id, last_ms in jobs
        ),
        reverse=True,
    )[:limit]
    with redis.pipeline(transaction=False) as pipeline:
        for _, job_id, destination_id in newest:
            pipeline.hgetall(DestinationKeys(destination_id).job(job_id))
        found: list[Any] = pipeline.execute()
    return [
        _job(job_id, (destination_id,), [raw], last_ms)
        for (last_ms, job_id, destination_id), raw in zip(newest, found, strict=True)
        if raw  # else its counts have expired
    ]


def unknown_job(redis: Redis, job_id: str, destination_ids: Sequence[str]) -> UsageError:
    """Return the error for an unknown job, naming the likely one."""
    known: list[str] = []
    for destination_id in destination_ids:
        listed: Any = redis.zrange(DestinationKeys(destination_id).jobs, 0, JOBS_COMPARED - 1, desc=True)
        known += [one.decode() for one in listed]
    begins = [one for one in known if len(job_id) >= 4 and one.startswith(job_id)]
    likely = begins[:1] or get_close_matches(job_id, known, n=1, cutoff=0.8)
    return UsageError(
        f"No job {job_id[:100]!r} is known.{f' Did you mean {likely[0]}?' if likely else ''}",
        remedy=f"`activation jobs` lists the newest; they are kept for {JOB_LIFE_SECONDS // 86_400} days.",
    )


def _destinations(redis: Redis) -> list[str]:
    members: Any = redis.smembers(DESTINATIONS)
    return sorted(member.decode() for member in members)


def _job(job_id: str, destinations: tuple[str, ...], found: Sequence[Mapping[bytes, bytes]], last_ms: int = 0) -> Job:
    """Build one job from its counts with each of its destinations."""
    counts: dict[str, int] = {}
    for raw in found:
        for key, value in raw.items():
            if key not in WORDS and value.isdigit():  # another build may have other fields that are not counts
                counts[key.decode()] = counts.get(key.decode(), 0) + int(value)
    return Job(
        id=job_id,
        destinations=destinations,
        received=counts.get(counters.RECEIVED, 0),
        outcomes={outcome: counts.get(outcome, 0) for outcome in OUTCOMES},
        reasons={
            key.removeprefix(counters.WHY): count for key, count in counts.items() if key.startswith(counters.WHY)
        },
        source=next((raw[b"source"].decode() for raw in found if b"source" in raw), ""),
        incomplete=any(b"load" in raw and b"loaded" not in raw for raw in found),
        last_ms=last_ms,
    )
