"""The gates of a worker process, one for each account."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from threading import Lock
from typing import TYPE_CHECKING

from app.pacing.account import AccountPace
from app.pacing.gate import Gate
from app.pacing.place import Room

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Limits


class Gates:
    """All gates of a process."""

    def __init__(self, redis: Redis, calls_at_once: int) -> None:
        self._redis = redis
        self._room = Room(calls_at_once)
        self._pool = ThreadPoolExecutor(calls_at_once, thread_name_prefix="call")
        self._lock = Lock()
        self._holder = token_hex(8)
        self._gates: dict[str, tuple[Limits, Gate]] = {}

    def close(self) -> None:
        """The process ends. Calls that have begun come to their end."""
        with self._lock:
            gates = [gate for _, gate in self._gates.values()]
        for gate in gates:
            gate.close()

    def of(self, account: str, limits: Limits) -> Gate:
        """The gate of an account; a new one when its limits have changed."""
        with self._lock:
            known = self._gates.get(account)
            if known is None or known[0] != limits:
                holder = f"{self._holder}-{len(self._gates)}-{token_hex(2)}"
                gate = Gate(AccountPace(self._redis, account, holder, limits), self._room, self._pool, self._lock)
                known = self._gates[account] = (limits, gate)
            return known[1]
