"""Checks that the state's Redis keeps what it is given: it must evict nothing, have an append-only file, and be able to read it.

It must also be one server. This and the first two are visible in INFO, which every role may use; CONFIG, which most may not,
only adds detail. What the user may do who reads the file back only `worker` may ask. Findings are warnings: such a Redis works
until its memory is short, or until it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.acl import DEFAULT_USER
from app.keys import DESTINATIONS
from app.mapping.problems import Problem
from app.storage import IS_CLUSTER, NO_CLUSTER, explain

WHERE = "Redis"
_APPEND_ONLY = (
    "Set appendonly yes (`redis-cli config set appendonly yes` does it at once, the configuration file for good)."
)
# what the pipeline's scripts write with
_WRITES = (
    "SET {} x",
    "DEL {}",
    "HSET {} x x",
    "HDEL {} x",
    "HINCRBY {} x 1",
    "SADD {} x",
    "ZADD {} 0 x",
    "ZREM {} x",
    "XADD {} * x x",
    "XDEL {} 0",
    "PEXPIREAT {} 1",
    "PERSIST {}",
)
LOSES = "Redis would lose most of its append-only file when it starts anew: its user `default` may not write what stands there."
GIVE_RIGHTS = (
    f"`redis-cli acl setuser {DEFAULT_USER}` gives it the rights at once and lets nobody sign in as it; the line of "
    "`activation acl` does so for good. If Redis was started anew before, CHANGELOG.md (Upgrading) says how to get back what it "
    "left out."
)


def reads_back(redis: Redis) -> bool | None:
    """Return whether the user as whom Redis reads its append-only file back may write all that stands there.

    None if that may not be asked. Raises: redis-py's errors if Redis is away.
    """
    try:
        return all(
            redis.acl_dryrun("default", *write.format(DESTINATIONS).split()) in (b"OK", "OK") for write in _WRITES
        )
    except ResponseError:
        return None


def find_storage_problems(redis: Redis) -> list[Problem]:
    """Return warnings, for those who connect and check destinations; one of them if Redis cannot be asked."""
    try:
        return [*_cluster(redis), *_eviction(redis), *_persistence(redis), *_reading_back(redis)]
    except RedisError as error:
        meant = explain(error)
        return [Problem("warning", WHERE, f"{meant} It is not known whether it keeps what it is given.", meant.remedy)]


def _cluster(redis: Redis) -> Iterator[Problem]:
    if int(_info(redis, "cluster").get("cluster_enabled", 0)):
        yield Problem("warning", WHERE, f"Redis is {IS_CLUSTER}.", NO_CLUSTER)


def _eviction(redis: Redis) -> Iterator[Problem]:
    policy = _info(redis, "memory").get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Problem(
            "warning",
            WHERE,
            f"maxmemory-policy is {policy}: when memory is short, Redis drops profiles that wait and what it knows of contacts.",
            "Set maxmemory-policy noeviction; use another Redis as a cache.",
        )


def _persistence(redis: Redis) -> Iterator[Problem]:
    if int(_info(redis, "persistence").get("aof_enabled", 1)):
        return
    points = _save_points(redis)
    if points == "":
        text = "Redis writes nothing to a disk: when it ends, every profile that waits and every destination is lost."
    elif points is None:
        text = "Redis keeps no append-only file: when it ends, all since its last snapshot is lost, if it makes any."
    else:
        text = "Redis makes snapshots only: when it ends suddenly, what was accepted since the last one is lost."
    yield Problem("warning", WHERE, text, _APPEND_ONLY)


def _reading_back(redis: Redis) -> Iterator[Problem]:
    if int(_info(redis, "persistence").get("aof_enabled", 1)) and reads_back(redis) is False:
        yield Problem("warning", WHERE, LOSES, GIVE_RIGHTS)


def _save_points(redis: Redis) -> str | None:
    """Return Redis's setting `save`; None if CONFIG is forbidden or, as with many providers, does not exist."""
    try:
        return str(cast(dict[str, Any], redis.config_get("save")).get("save", ""))
    except ResponseError:
        return None


def _info(redis: Redis, section: str) -> dict[str, Any]:
    return redis.info(section)
