"""Limits the profiles per second that a source may send, counted over all processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from app.keys import intake_rate
from app.lua import script

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True, slots=True)
class Charge:
    """A body of `profiles` from a source that may send `profiles_per_second`."""

    source: str
    profiles_per_second: int
    profiles: int


def charge(redis: Redis, bodies: Iterable[Charge], now_ms: int) -> list[int]:
    """Charge bodies to their sources.

    Returns for each body 0 if it is taken; otherwise nothing is charged, and the number is the milliseconds until its
    source may send again.
    """
    with redis.pipeline(transaction=False) as pipeline:
        command = script(redis, "app.intake", "charge")
        for body in bodies:
            command(
                keys=[intake_rate(body.source)], args=[now_ms, body.profiles_per_second, body.profiles], client=pipeline
            )
        waits: list[Any] = pipeline.execute()
    return [int(wait) for wait in waits]


def give_back(redis: Redis, bodies: Iterable[Charge], now_ms: int) -> None:
    """Undo charges for bodies that will come again."""
    charge(redis, (replace(body, profiles=-body.profiles) for body in bodies if body.profiles), now_ms)
