"""How much of its memory Redis has used, as its INFO tells. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RESERVE = 0.1  # the share of Redis' maxmemory that appends leave to settling, to the state and to the broker
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
