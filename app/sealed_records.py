"""Records that rest as the fields of one hash in Redis, each sealed for its own name: nobody makes or moves one without a key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.errors import SealBroken
from app.lua import write

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

    from app.sealing import KeyRing


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many records were sealed anew, and the names of those that no key opens, which stay as they are."""

    count: int
    locked: tuple[str, ...]


class SealedRecords:
    """The records of the hash `key`; `kind` is authenticated along with their names. Raises redis-py's errors."""

    def __init__(self, redis: Redis, ring: KeyRing, key: str, kind: str) -> None:
        self._redis = redis
        self._ring = ring
        self._key = key
        self._kind = kind.encode()

    def raw(self) -> dict[bytes, bytes]:
        """As they rest in Redis, to see whether anything changed."""
        found: Any = self._redis.hgetall(self._key)
        return dict(found)

    def opening(self, raw: dict[bytes, bytes]) -> tuple[list[tuple[str, bytes]], list[str]]:
        """The names and clear bytes of those that open, and the names of those that do not; both sorted."""
        opened, locked = [], []
        for name, sealed in sorted(raw.items()):
            shown = name.decode(errors="backslashreplace")
            try:
                opened.append((shown, self._open(name, sealed)))
            except SealBroken:
                locked.append(shown)
        return opened, locked

    def get(self, name: str) -> bytes | None:
        """The clear bytes; None when there are none of the name, or no key opens them."""
        sealed: Any = self._redis.hget(self._key, name)
        with suppress(SealBroken):
            return None if sealed is None else self._open(name.encode(), sealed)
        return None

    def put(self, name: str, clear: bytes) -> None:
        write(self._redis, ("HSET", self._key, name, self._seal(name.encode(), clear)), keys=[self._key])

    def remove(self, name: str) -> bool:
        """False when there was none of the name."""
        return bool(self._redis.hdel(self._key, name))

    def change(self, name: str, change: Callable[[Callable[[], bytes] | None], bytes]) -> bytes:
        """Read, change and write, again when another was quicker; the clear bytes that are kept now.

        `change` gets None when there is none of the name, else what opens it or raises `SealBroken`. What it raises goes on.
        """
        changed = [b""]

        def step(pipeline: Pipeline) -> None:
            sealed: Any = pipeline.hget(self._key, name)
            changed[0] = change(None if sealed is None else lambda: self._open(name.encode(), sealed))
            fresh = self._seal(name.encode(), changed[0])
            pipeline.multi()
            write(pipeline, ("HSET", self._key, name, fresh), keys=[self._key])

        self._redis.transaction(step, self._key)
        return changed[0]

    def reseal(self) -> Resealed:
        """Seal all with the ring's first key, before an old one is dropped."""
        done: list[Resealed] = []

        def step(pipeline: Pipeline) -> None:
            raw: Any = pipeline.hgetall(self._key)
            opened, locked = self.opening(raw)
            pipeline.multi()
            for name, clear in opened:
                write(pipeline, ("HSET", self._key, name, self._seal(name.encode(), clear)), keys=[self._key])
            done[:] = [Resealed(len(opened), tuple(locked))]

        self._redis.transaction(step, self._key)
        return done[0]

    def _seal(self, name: bytes, clear: bytes) -> bytes:
        return self._ring.seal(clear, self._purpose(name))

    def _open(self, name: bytes, sealed: bytes) -> bytes:
        return self._ring.open(sealed, self._purpose(name))

    def _purpose(self, name: bytes) -> bytes:
        return self._kind + b":" + name
