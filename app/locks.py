"""Locks in Redis that one process of the installation holds at a time, and that expire by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import token_bytes
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.lua import script

if TYPE_CHECKING:
    from redis import Redis


@contextmanager
def locked(redis: Redis, key: str, life_ms: int) -> Iterator[bool]:
    """Yield whether the lock is ours within the block: False, at once, if another process holds it.

    It lasts at most `life_ms`.

    Raises: redis-py's errors when taking it; a lock that cannot be released expires by itself.
    """
    holder = token_bytes(16)
    mine = script(redis, "app", "lock")(keys=[key], args=[holder, life_ms]) == 1
    try:
        yield mine
    finally:
        if mine:
            with suppress(RedisError):
                script(redis, "app", "release")(keys=[key], args=[holder])
