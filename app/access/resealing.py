"""Sealing what is kept of users and API keys anew, before an old key is dropped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from app.errors import SealBroken

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

    from app.sealing import KeyRing


def reseal(redis: Redis, ring: KeyRing, key: str, purpose: Callable[[str], bytes]) -> int:
    """Seal each record of a hash, name by name, with the ring's first key; how many. What no key opens stays as it is."""
    fresh: dict[bytes, bytes] = {}

    def step(pipeline: Pipeline) -> None:
        fresh.clear()
        kept: Any = pipeline.hgetall(key)
        for name, sealed in kept.items():
            place = purpose(name.decode())
            with suppress(SealBroken):
                fresh[name] = ring.seal(ring.open(sealed, place), place)
        pipeline.multi()
        if fresh:
            pipeline.hset(key, mapping=fresh)  # type: ignore[arg-type]  # redis-py wants names that are text

    redis.transaction(step, key)
    return len(fresh)
