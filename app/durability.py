"""Checks that the state's Redis keeps what it is given: it must evict nothing, and have an append-only file.

Both are visible in INFO, which every role may use; CONFIG, which most may not, only adds detail. Findings are warnings:
such a Redis works until its memory is short, or until it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.mapping.problems import Problem
from app.storage import explain

WHERE = "Redis"
_APPEND_ONLY = (
    "Set appendonly yes (`redis-cli config set appendonly yes` does it at once, the configuration file for good)."
)


def find_storage_problems(redis: Redis) -> list[Problem]:
    """Return warnings, for those who connect and check destinations; one of them if Redis cannot be asked."""
    try:
        return [*_eviction(redis), *_persistence(redis)]
    except RedisError as error:
        meant = explain(error)
        return [Problem("warning", WHERE, f"{meant} It is not known whether it keeps what it is given.", meant.remedy)]


def _eviction(redis: Redis) -> Iterator[Problem]:
    policy = _info(redis, "memory").get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Problem(
            "warning",
            WHERE,
            f"maxmemory-policy is {policy}: when memory is short, Redis drops profiles that wait and what it knows of contacts.",
            "Set maxmemory-policy noeviction; a cache belongs into another Redis.",
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


def _save_points(redis: Redis) -> str | None:
    """Return Redis's setting `save`; None if CONFIG is forbidden or, as with many providers, does not exist."""
    try:
        return str(cast(dict[str, Any], redis.config_get("save")).get("save", ""))
    except ResponseError:
        return None


def _info(redis: Redis, section: str) -> dict[str, Any]:
    return redis.info(section)
