"""How much of its memory Redis has used, and whether it takes profiles now. Asked by INFO, which every role may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import ReadOnlyError

from app.storage import RESERVE, explain, full

if TYPE_CHECKING:
    from redis import Redis

    from app.errors import ActivationError

FILLING_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes; `most` is 0 where no bound is set."""

    used: int
    most: int

    @property
    def is_full(self) -> bool:
        """Whether appends are refused (`append.lua`)."""
        return bool(self.most) and self.used > self.most * (1 - RESERVE)

    @property
    def is_filling_up(self) -> bool:
        return bool(self.most) and self.used > self.most * FILLING_SHARE

    def __str__(self) -> str:
        return f"{self.used / 2**20:,.0f} of {self.most / 2**20:,.0f} MiB"


def memory_of(info: Mapping[str, Any]) -> Memory:
    """Of Redis' INFO. Buffers of replicas and of the append-only file do not count for its bound."""
    used = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    return Memory(used, int(info.get("maxmemory", 0)))


def refusal_of(info: Mapping[str, Any]) -> ActivationError | None:
    """Why a Redis with this INFO takes no profile; None when it does."""
    if info.get("role", "master") != "master" and int(info.get("slave_read_only", 1)):
        return explain(ReadOnlyError())
    return full() if memory_of(info).is_full else None


def read_memory(redis: Redis) -> Memory:
    """Raises redis-py's errors."""
    return memory_of(redis.info("memory"))


def find_refusal(redis: Redis) -> ActivationError | None:
    """Why Redis takes no profile now; None when it does. Raises redis-py's errors."""
    return refusal_of(redis.info("memory", "replication"))
