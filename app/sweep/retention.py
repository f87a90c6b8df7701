"""Bounds how long things are kept: failures, delivered rows, jobs. Each sweep does a little of it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from app.keys import JOB_LIFE_SECONDS, LANES, DestinationKeys
from app.lanes.delivered import age_days
from app.lua import script, write
from app.moments import DAY_MS
from app.reporting.alerts import Alert, raise_alert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

    from app.destinations.model import Destination
    from app.resources import Resources

ROWS_AT_ONCE = 500
JOBS_AT_ONCE = 1_000


def bound_failures(resources: Resources, destination_id: str) -> None:
    """Drop the oldest failures beyond age and count, after raising an alert."""
    settings = resources.settings
    store = resources.failures(destination_id)
    oldest_ms = resources.clock.now_ms() - settings.failures_kept_days * DAY_MS
    beyond = store.beyond(most=settings.failures_kept, older_than_ms=oldest_ms)
    if beyond:
        raise_alert(
            resources.redis,
            Alert(
                "failures_dropped",
                destination_id,
                f"Failed profiles are dropped, the oldest first: kept are at most {settings.failures_kept:,}, "
                f"for {settings.failures_kept_days} days.",
                f"Replay or export them in time: `activation failures {destination_id}`.",
            ),
            now_ms=resources.clock.now_ms(),
        )
        store.remove(beyond)


def clean_lane(resources: Resources, destination: Destination) -> None:
    """Drop delivered rows past their life: some rows of one lane, lane after lane."""
    redis, now_ms = resources.redis, resources.clock.now_ms()
    keys = DestinationKeys(destination.id)
    place: Any = redis.get(keys.cleaned)
    number, cursor = map(int, (place or b"0 0").split())
    key = keys.lane(number).delivered(destination.holdings)
    found: Any = redis.hscan(key, cursor=cursor, count=ROWS_AT_ONCE)
    cursor, rows = found
    drop_rows(
        redis,
        key,
        {tag: row for tag, row in rows.items() if age_days(row, now_ms) > resources.settings.delivered_life_days},
    )
    following = number if cursor else (number + 1) % LANES
    write(redis, ("SET", keys.cleaned, f"{following} {cursor}"), keys=[keys.cleaned], only_with=keys.epoch)


def drop_rows(redis: Redis, key: str, rows: Mapping[bytes, bytes]) -> None:
    """Drop these rows of a hash, except those that have changed since they were read."""
    if rows:
        script(redis, "app.sweep", "drop_rows")(keys=[key], args=list(chain.from_iterable(rows.items())))


def forget_old_jobs(resources: Resources, destination_id: str) -> None:
    """Remove jobs whose counts have expired from the list of jobs: some of the old ones are examined, all of them in turn.

    A job with anything pending keeps its counts, however old it is.
    """
    redis, keys = resources.redis, DestinationKeys(destination_id)
    oldest_ms = resources.clock.now_ms() - JOB_LIFE_SECONDS * 1000
    raw: Any = redis.get(keys.jobs_looked_at)
    place = int(raw or 0)
    old: Any = redis.zrangebyscore(keys.jobs, "-inf", oldest_ms, start=place, num=JOBS_AT_ONCE)
    with redis.pipeline(transaction=False) as pipeline:
        for job in old:
            pipeline.exists(keys.job(job.decode()))
        ended = [job for job, is_there in zip(old, pipeline.execute(), strict=True) if not is_there]
    if ended:
        redis.zrem(keys.jobs, *ended)
    following = place + len(old) - len(ended) if len(old) == JOBS_AT_ONCE else 0
    if following != place:
        command = ("SET", keys.jobs_looked_at, following)
        write(redis, command, keys=[keys.jobs_looked_at], only_with=keys.epoch)
