"""Whether Redis has room and takes profiles now. It asks by INFO, which every role may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redis.exceptions import ReadOnlyError

from app.memory import Memory, memory_of
from app.storage import explain, full

if TYPE_CHECKING:
    from redis import Redis

    from app.errors import ActivationError


def refusal_of(info: Mapping[str, Any]) -> ActivationError | None:
    """Return why a Redis with this INFO takes no profiles; None if it does."""
    if info.get("role", "master") != "master" and int(info.get("slave_read_only", 1)):
        return explain(ReadOnlyError())
    return full() if memory_of(info).is_full else None


def read_memory(redis: Redis) -> Memory:
    """Return the memory of Redis. Raises: redis-py's errors."""
    return memory_of(redis.info("memory"))


def find_refusal(redis: Redis) -> ActivationError | None:
    """Return why Redis takes no profiles now; None if it does. Raises: redis-py's errors."""
    return refusal_of(redis.info("memory", "replication"))
