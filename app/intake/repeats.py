"""Repeats keep their place: a body that comes again within ten minutes counts from its first arrival.

Adobe Experience Platform sends a body again 15 and 30 seconds after a failure or a missing answer, and attributes carry no
time. Without this memory the repeat of an older export would win over a newer one that came in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from app.keys import SEEN_LIFE_SECONDS, SEEN_WINDOW_SECONDS, SEEN_WINDOWS, DestinationKeys
from app.lua import script

if TYPE_CHECKING:
    from redis import Redis

DIGEST_BYTES = 12
_WINDOW_MS = SEEN_WINDOW_SECONDS * 1000
_MOST_NOTED = 200_000  # some 40 MB per process


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a body came, by Redis's clock.

    It holds the time of the first byte, and the stamp that orders the body among others of the same millisecond.
    """

    first_byte_ms: int
    stamp_ms: int
    stamp_number: int

    def encoded(self) -> str:
        return f"{self.first_byte_ms},{self.stamp_ms - self.first_byte_ms},{self.stamp_number}"

    @classmethod
    def decoded(cls, text: bytes) -> Arrival:
        first, later, number = map(int, text.split(b","))
        return cls(first, first + later, number)


def body_digest(body: bytes, pepper: bytes) -> bytes:
    """Return a digest of a body, keyed so that nobody can test whether a guessed body was sent."""
    return blake2b(body, digest_size=DIGEST_BYTES, key=pepper, person=b"intake-body").digest()


class Repeats:
    """The memory of arrivals: in Redis for all processes, and here for what Redis could not be told. For one thread."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._noted: dict[str, dict[bytes, Arrival]] = {}  # by destination

    @property
    def noted(self) -> bool:
        """Whether something still has to be told to Redis."""
        return bool(self._noted)

    def note(self, destination_id: str, digest: bytes, arrival: Arrival) -> None:
        """Keep an arrival until `tell` or `arrivals` brings it to Redis. A body's earliest one stays."""
        noted = self._noted.setdefault(destination_id, {})
        if len(noted) < _MOST_NOTED:
            noted.setdefault(digest, arrival)

    def arrivals(self, destination_id: str, bodies: Sequence[tuple[bytes, Arrival]]) -> list[Arrival]:
        """Return the arrivals that count. Raises: redis-py's errors; all arrivals are then noted."""
        for digest, arrival in bodies:
            self.note(destination_id, digest, arrival)
        noted = self._noted.get(destination_id, {})
        found = self._tell(destination_id, [(digest, noted.get(digest, arrival)) for digest, arrival in bodies])
        for digest, _ in bodies:
            noted.pop(digest, None)
        self.tell()
        return found

    def tell(self) -> None:
        """Bring what is noted to Redis. Raises: redis-py's errors; the rest then stays noted."""
        for destination_id in list(self._noted):
            noted = self._noted[destination_id]
            while noted:
                some = list(noted.items())[:1000]
                self._tell(destination_id, some)
                for digest, _ in some:
                    del noted[digest]
            del self._noted[destination_id]

    def _tell(self, destination_id: str, bodies: Sequence[tuple[bytes, Arrival]]) -> list[Arrival]:
        if not bodies:
            return []
        keys = DestinationKeys(destination_id)
        present = max(arrival.first_byte_ms for _, arrival in bodies) // _WINDOW_MS
        args: list[Any] = [SEEN_LIFE_SECONDS + SEEN_WINDOW_SECONDS]
        for digest, arrival in bodies:
            args += [digest, arrival.encoded()]
        windows = [keys.seen(present - back) for back in range(SEEN_WINDOWS)]
        reply = script(self._redis, "app.intake", "remember")(keys=windows, args=args)
        return [Arrival.decoded(text) for text in reply]
