"""How much of its memory Redis has used, according to its INFO. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RESERVE = 0.1  # the share of Redis's maxmemory that appends leave for settling, the state and the broker
FILLING_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Memory:
    """Sizes in bytes. `most`: 0 if no bound is set."""

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
    """Return the memory by Redis's INFO. Buffers for replicas and the append-only file do not count towards its bound."""
    used = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    return Memory(used, int(info.get("maxmemory", 0)))
