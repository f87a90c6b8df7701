"""Records stored as the fields of one Redis hash, each sealed for its own name: without a key nobody can forge or move one."""

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
    """How many records were resealed, and the names of those that no key opens, which stay unchanged."""

    count: int
    locked: tuple[str, ...]


class SealedRecords:
    """The records of the hash `key`. `kind` is authenticated with their names. Methods raise redis-py's errors."""

    def __init__(self, redis: Redis, ring: KeyRing, key: str, kind: str) -> None:
        self._redis = redis
        self._ring = ring
        self._key = key
        self._kind = kind.encode()

    def raw(self) -> dict[bytes, bytes]:
        """Return the sealed records, to see whether anything changed."""
        found: Any = self._redis.hgetall(self._key)
        return dict(found)

    def opening(self, raw: dict[bytes, bytes]) -> tuple[list[tuple[str, bytes]], list[str]]:
        """Return names and content of the records that open, and the names of those that do not; both sorted."""
        opened, locked = [], []
        for name, sealed in sorted(raw.items()):
            shown = name.decode(errors="backslashreplace")
            try:
                opened.append((shown, self._open(name, sealed)))
            except SealBroken:
                locked.append(shown)
        return opened, locked

    def get(self, name: str) -> bytes | None:
        """Return a record's content; None if it does not exist or no key opens it."""
        sealed: Any = self._redis.hget(self._key, name)
        with suppress(SealBroken):
            return None if sealed is None else self._open(name.encode(), sealed)
        return None

    def put(self, name: str, clear: bytes) -> None:
        write(self._redis, ("HSET", self._key, name, self._seal(name.encode(), clear)), keys=[self._key])

    def remove(self, name: str) -> bool:
        """Remove a record. Returns False if there was none."""
        return bool(self._redis.hdel(self._key, name))

    def change(self, name: str, change: Callable[[bytes | None], bytes], *, locked_is_none: bool = False) -> bytes:
        """Read, change and write a record, repeating if another process was quicker; returns the new content.

        `change`: called with the content, or None if there is none; its errors are passed on. `locked_is_none`: a record
          that no key opens counts as none.

        Raises: `SealBroken` if no key opens the record.
        """

        def step(pipeline: Pipeline) -> bytes:
            sealed: Any = pipeline.hget(self._key, name)
            clear = None
            try:
                clear = None if sealed is None else self._open(name.encode(), sealed)
            except SealBroken:
                if not locked_is_none:
                    raise
            changed = change(clear)
            fresh = self._seal(name.encode(), changed)
            pipeline.multi()
            write(pipeline, ("HSET", self._key, name, fresh), keys=[self._key])
            return changed

        kept: Any = self._redis.transaction(step, self._key, value_from_callable=True)  # type: ignore[arg-type]  # typed without a value
        return bytes(kept)

    def reseal(self) -> Resealed:
        """Seal all records with the ring's first key, before an old one is dropped."""

        def step(pipeline: Pipeline) -> tuple[int, tuple[str, ...]]:
            raw: Any = pipeline.hgetall(self._key)
            opened, locked = self.opening(raw)
            fresh = [("HSET", self._key, name, self._seal(name.encode(), clear)) for name, clear in opened]
            pipeline.multi()
            write(pipeline, *fresh, keys=[self._key])
            return len(opened), tuple(locked)

        done: Any = self._redis.transaction(step, self._key, value_from_callable=True)  # type: ignore[arg-type]  # typed without a value
        return Resealed(*done)

    def _seal(self, name: bytes, clear: bytes) -> bytes:
        return self._ring.seal(clear, self._purpose(name))

    def _open(self, name: bytes, sealed: bytes) -> bytes:
        return self._ring.open(sealed, self._purpose(name))

    def _purpose(self, name: bytes) -> bytes:
        return self._kind + b":" + name
